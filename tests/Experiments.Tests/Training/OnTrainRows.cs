// What tests of trainings share: a folder of its own for each test, with rows to train on.

namespace PeftAlign.Experiments.Tests;

/// <summary>Derived fixtures are made anew for each test case.</summary>
public abstract class OnTrainRows
{
    private protected Peftalign User { get; private set; } = null!;

    private protected static string Model => Peftalign.Stories;

    private protected string[] Lora => TrainRows.Lora(User);

    [SetUp]
    public void Open()
    {
        User = new Peftalign();
        TrainRows.Write(User);
    }

    [TearDown]
    public void Close() => User.Dispose();
}
