// Where the tests' files are: small fixtures beside this source, large reference folders in shared/, if that is there.

using System.Runtime.CompilerServices;

namespace PeftAlign.Models.Tests.Checkpoints;

internal static class Shared
{
    /// <summary>tests/Models.Tests/Checkpoints/Fixtures, found from the place of this source.</summary>
    public static string Fixture(params string[] parts) => Path.Combine([FixtureRoot, .. parts]);

    /// <summary>A path in shared/; the test is skipped, visibly, where that is absent.</summary>
    public static string Golden(params string[] parts) => Checkout.Reference(["golden", .. parts]);

    /// <summary>Where all scratch folders of this run are.</summary>
    public static string ScratchRoot { get; } = Path.Combine(Path.GetTempPath(), $"peftalign-checkpoints-{Environment.ProcessId}");

    /// <summary>A fresh folder that is removed after the test run.</summary>
    public static string Scratch([CallerMemberName] string name = "")
    {
        var folder = Path.Combine(ScratchRoot, $"{name}-{Guid.NewGuid():N}");
        return Directory.CreateDirectory(folder).FullName;
    }

    /// <summary>Copies the files of a folder over those of another.</summary>
    public static void Copy(string from, string to)
    {
        foreach (var file in Directory.EnumerateFiles(from))
        {
            var target = Path.Combine(to, Path.GetFileName(file));
            File.WriteAllBytes(target, File.ReadAllBytes(file));
        }
    }

    private static string FixtureRoot { get; } = Path.Combine(AppContext.BaseDirectory, "Checkpoints", "Fixtures");
}
