// What becomes of memory: tensors that nobody disposes, a million operations, foreign memory.

using System.IO.MemoryMappedFiles;
using PeftAlign.Torch.Extras;
using PeftAlign.Torch.Tests.Children;

namespace PeftAlign.Torch.Tests;

public sealed class LifetimeTests
{
    // 2 GB in all; without memory pressure the collector would see 500 small objects and let them be. In a process of its own, since
    // how much may be held before tensors are looked for follows from what a process held before. Slowly: finalizers lag behind, which must
    // not look as if a collection had found nothing.
    [TestCase("dropped")]
    [TestCase("dropped-slowly")]
    public void Large_tensors_that_are_dropped_are_freed_while_new_ones_are_made(string way)
    {
        var child = Child.Run(["memory", way]);
        Assert.That((child.ExitCode, child.LastLine), Is.EqualTo((0, "few alive all along")), child.Errors);
    }

    // Operations of 64 bytes (scopes) and 4 KB (collector). In 500,000 of them a leak of the native tensors would show as
    // 150 MB or more, of the elements as 2 GB.
    [TestCase("scopes")]
    [TestCase("collector")]
    public void A_million_operations_leave_resident_memory_flat(string way)
    {
        var child = Child.Run(["memory", way]);
        Assert.That(child.ExitCode, Is.Zero, child.Errors);
        TestContext.Out.WriteLine(child.LastLine);
        var numbers = child.LastLine.Split(' ').Select(part => long.Parse(part.Split('=')[1])).ToArray();
        Assert.That(numbers[1], Is.LessThan(20), child.LastLine);
        Assert.That(numbers[2], Is.LessThan(2000), "the peak: all at once would be 4.9 GB; how far finalizers lag depends on the machine's load");
        Assert.That(numbers[3], Is.Zero, "tensors alive");
    }

    // Compiled in full at once, as code that has run for a while is: only then the collector takes what is not used any more while a method
    // still runs.
    [Test]
    public void A_tensor_lives_while_its_elements_are_read()
    {
        var child = Child.Run(["memory", "elements"], new() { ["DOTNET_TieredCompilation"] = "0" });
        Assert.That((child.ExitCode, child.LastLine), Is.EqualTo((0, "wrong=0")), child.Errors);
    }

    [Test]
    public unsafe void A_tensor_over_a_memory_map_releases_it_once()
    {
        var path = Path.Combine(TestContext.CurrentContext.WorkDirectory, $"blob-{Environment.ProcessId}.bin");
        File.WriteAllBytes(path, [.. Enumerable.Range(0, 12).SelectMany(k => BitConverter.GetBytes((float)k))]);
        try
        {
            var file = MemoryMappedFile.CreateFromFile(path, FileMode.Open, null, 0, MemoryMappedFileAccess.Read);
            var view = file.CreateViewAccessor(0, 0, MemoryMappedFileAccess.Read);
            byte* start = null;
            view.SafeMemoryMappedViewHandle.AcquirePointer(ref start);
            var released = 0;
            var whole = Blob.FromMemory((nint)start + (nint)view.PointerOffset, [3, 4], torch.float32, () =>
            {
                Interlocked.Increment(ref released);
                view.SafeMemoryMappedViewHandle.ReleasePointer();
                view.Dispose();
                file.Dispose();
            });
            var row = whole[1];
            Assert.That(row.data<float>().ToArray(), Is.EqualTo(new float[] { 4, 5, 6, 7 }));
            Assert.That(whole.data_ptr(), Is.EqualTo((nint)start + (nint)view.PointerOffset), "no copy");
            whole.Dispose();
            Assert.That(released, Is.Zero, "a view keeps the map");
            row.Dispose();
            Assert.That(released, Is.EqualTo(1));
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Test]
    public void Memory_of_a_blob_that_cannot_be_made_is_released_once_too()
    {
        var released = 0;
        Assert.That(() => Blob.FromMemory(4096, [-1], torch.float32, () => released++), Throws.InstanceOf<TorchException>());
        Assert.That(released, Is.EqualTo(1));
    }
}
