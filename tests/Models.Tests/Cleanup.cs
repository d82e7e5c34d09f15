// What the whole project's tests leave behind is removed after the last of them, whatever namespace that is in.

using PeftAlign.Models.Tests.Checkpoints;

namespace PeftAlign.Models.Tests;

/// <summary>Removes the scratch folders.</summary>
[SetUpFixture]
internal sealed class Cleanup
{
    [OneTimeTearDown]
    public void Remove()
    {
        if (Directory.Exists(Shared.ScratchRoot)) Directory.Delete(Shared.ScratchRoot, recursive: true);
    }
}
