// A file mapped into memory, and tensors over it without a copy. The map is private: a write to such a tensor changes
// this process's copy of the page, never the file. It lives until the last tensor over it is gone, and needs no open file.
// The bytes are taken as they are: a little-endian machine is assumed.

using System.IO.MemoryMappedFiles;
using System.Runtime.InteropServices;
using PeftAlign.Abstractions;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Models.Checkpoints;

internal sealed partial class MappedFile : IDisposable
{
    private const int NotNeeded = 4; // MADV_DONTNEED, Linux

    private readonly MemoryMappedViewAccessor view;

    private MappedFile(MemoryMappedViewAccessor view, long length) => (this.view, Length) = (view, length);

    /// <summary>Bytes of the file when it was mapped.</summary>
    public long Length { get; }

    /// <summary>Opens a file for reading; what has no length (a pipe, a device) is refused before it could block.</summary>
    /// <exception cref="UserErrorException">It is not there, may not be read, or is empty.</exception>
    public static FileStream OpenFile(string path)
    {
        try
        {
            if (RegularFile.Length(path) == 0) throw Fault.In(path, "the file is empty; copy it again.");
            return RegularFile.Open(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Fault.Unreadable(path, e);
        }
    }

    /// <summary>Maps all of an open file, which may be closed afterwards.</summary>
    public static MappedFile Map(FileStream stream)
    {
        try
        {
            return Map(stream, MemoryMappedFileAccess.CopyOnWrite);
        }
        catch (Exception e) when (e is IOException or OutOfMemoryException)
        {
            // The kernel may refuse a writable map that is larger than memory. Over this one a write ends the process.
            return Map(stream, MemoryMappedFileAccess.Read);
        }
    }

    private static MappedFile Map(FileStream stream, MemoryMappedFileAccess access)
    {
        using var file = MemoryMappedFile.CreateFromFile(stream, null, 0, access, HandleInheritability.None, leaveOpen: true);
        return new MappedFile(file.CreateViewAccessor(0, 0, access), stream.Length);
    }

    /// <summary>A contiguous tensor over the file's bytes from <paramref name="offset"/>, or a copy where they are not aligned.</summary>
    public unsafe Tensor Tensor(long offset, long[] shape, torch.ScalarType dtype)
    {
        long bytes = dtype.ElementSize();
        foreach (var size in shape) bytes *= size;
        if (bytes == 0) return torch.empty(shape, dtype);
        var handle = view.SafeMemoryMappedViewHandle;
        byte* start = null;
        handle.AcquirePointer(ref start);
        var data = start + view.PointerOffset + offset;
        var aligned = (nuint)data % (nuint)Math.Min(dtype.ElementSize(), 8) == 0;
        if (aligned) return Blob.FromMemory((nint)data, shape, dtype, handle.ReleasePointer); // which releases it where it throws, too
        try
        {
            var copy = torch.empty(shape, dtype);
            Buffer.MemoryCopy(data, (void*)copy.data_ptr(), bytes, bytes);
            return copy;
        }
        finally
        {
            handle.ReleasePointer();
        }
    }

    /// <summary>Bytes of the file, copied; the range must lie within <see cref="Length"/>.</summary>
    public byte[] Read(long offset, int count)
    {
        var bytes = new byte[count];
        view.ReadArray(offset, bytes, 0, count);
        return bytes;
    }

    /// <summary>Lets go of the pages of a range that was read to the end: they stay in the page cache and are no longer this process's. A tensor over
    /// them stays valid and has the file's values, also where others were written into it.</summary>
    public unsafe void Forget(long offset, long bytes)
    {
        if (!OperatingSystem.IsLinux()) return;
        var handle = view.SafeMemoryMappedViewHandle;
        byte* start = null;
        handle.AcquirePointer(ref start);
        try
        {
            var page = (nint)Environment.SystemPageSize;
            var (first, end) = ((nint)(start + view.PointerOffset + offset), (nint)(start + view.PointerOffset + offset + bytes));
            // Whole pages: at its ends a neighbour's values begin.
            (first, end) = ((first + page - 1) / page * page, end / page * page);
            if (end > first) _ = Advise(first, end - first, NotNeeded); // what the kernel does not take is the page cache's as before
        }
        finally
        {
            handle.ReleasePointer();
        }
    }

    public void Dispose() => view.Dispose();

    [LibraryImport("libc", EntryPoint = "madvise")]
    private static partial int Advise(nint address, nint length, int advice);
}
