// The prediction with which a training begins: as with an adapter's start out of the weights, which is not computed for it.

using PeftAlign.Abstractions;
using PeftAlign.Host.SingleTraining;
using PeftAlign.Plugins;

namespace PeftAlign.Host.Tests;

public sealed class QuickForecastTests
{
    private string folder = "";

    [SetUp]
    public void Make() => folder = Directory.CreateTempSubdirectory("peftalign-forecast-").FullName;

    [TearDown]
    public void Remove() => Directory.Delete(folder, recursive: true);

    private long Bytes(string init, int rank, bool isQuick)
    {
        var rows = Path.Combine(folder, "rows.jsonl");
        File.WriteAllText(rows, """{"prompt": "Say a.", "completion": " a"}""" + "\n");
        var plugins = PluginSearch.Of(Path.GetDirectoryName(Product.Host)!, []).Scan();
        var request = new TrainRequest
        {
            Method = "sft",
            Model = Checkout.Fixture("stories260K"),
            Data = rows,
            Out = Path.Combine(folder, "out"),
            Adapter = "lora",
            Device = "cpu",
            Values = new Dictionary<string, string> { ["init"] = init, ["rank"] = $"{rank}", ["targets"] = "all-linear" },
            Flags = [],
            Unmatched = [],
        };
        using var made = new TrainFolder(request.Out);
        return Forecast.Of(TrainPlan.Of(request, TrainFlags.Of(plugins, "sft", "lora", null), plugins, path => path), made, request, isQuick).Bytes;
    }

    [TestCase("default")]
    [TestCase("gaussian")]
    [TestCase("pissa")]
    [TestCase("pissa_niter_2")]
    [TestCase("olora")]
    public void It_says_the_same(string init) => Assert.That(Bytes(init, 4, isQuick: true), Is.EqualTo(Bytes(init, 4, isQuick: false)));

    // More directions than a matrix has are found out where these are computed.
    [Test]
    public void The_start_is_not_computed()
    {
        Assert.That(() => Bytes("pissa", 65, isQuick: false), Throws.InstanceOf<UserErrorException>().With.Message.Contains("singular directions"));
        Assert.That(Bytes("pissa", 65, isQuick: true), Is.Positive);
    }
}
