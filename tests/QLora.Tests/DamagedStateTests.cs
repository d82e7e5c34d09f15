// Folders in 4 bits whose parts do not fit each other, weights whose factors overflow, and options that a folder cannot follow: each is
// told in one line that names the weight.

using System.Text;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Peft.QLora.Tests;

public sealed class DamagedStateTests
{
    private const string Name = "model.layers.0.mlp.up_proj.weight";
    private const string State = ".quant_state.bitsandbytes__nf4";

    private static readonly Dictionary<string, (bool Double, Action<Dictionary<string, Tensor>> Damage, string Said)> Cases = new()
    {
        ["blocks-of-no-factors"] = (true, Edit(json => json["nested_blocksize"] = 0), "nested_blocksize is 0"),
        ["negative-blocks"] = (true, Edit(json => json["nested_blocksize"] = -256), "nested_blocksize is -256"),
        ["no-offset"] = (true, Edit(json => json.Remove("nested_offset")), "lacks nested_offset"),
        ["endless-offset"] = (true, Edit(json => json["nested_offset"] = 1e300), "nested_offset"),
        ["no-nested-keys"] = (true, Edit(json => { json.Remove("nested_blocksize"); json.Remove("nested_offset"); json.Remove("nested_dtype"); }), "lacks nested_blocksize"),
        ["no-nested-tensor"] = (true, parts => parts.Remove(Name + ".nested_absmax"), "nested_absmax is missing"),
        ["state-of-floats"] = (true, parts => parts[Name + State] = parts[Name + State].to(torch.float32), "is of float32 and must be of uint8"),
        ["codes-of-floats"] = (true, parts => parts[Name + ".absmax"] = parts[Name + ".absmax"].to(torch.float32), "absmax is of float32 and must be of uint8"),
        ["factors-of-bytes"] = (false, parts => parts[Name + ".absmax"] = parts[Name + ".absmax"].to(torch.uint8), "absmax is of uint8 and must be of float32"),
        ["nested-factors-of-bytes"] = (true, parts => parts[Name + ".nested_absmax"] = parts[Name + ".nested_absmax"].to(torch.uint8), "nested_absmax is of uint8 and must be of float32"),
    };

    private static IEnumerable<string> Names => Cases.Keys;

    private static Action<Dictionary<string, Tensor>> Edit(Action<JsonObject> change) => parts =>
    {
        var json = JsonNode.Parse(Encoding.UTF8.GetString(parts[Name + State].data<byte>().ToArray()))!.AsObject();
        change(json);
        parts[Name + State] = torch.tensor(Encoding.UTF8.GetBytes(json.ToJsonString()));
    };

    private static Dictionary<string, Tensor> Parts(FourBitOptions options) =>
        new FourBitQuantization(FourBitCode.Nf4, options).Quantize(Name, new CounterStream(5, "w", "").Normal([96, 64], 0, 0.1)).Parts.ToDictionary(p => Name + p.Key, p => p.Value);

    private static QuantizedMatrix? Read(Dictionary<string, Tensor> parts, FourBitOptions? options = null) =>
        new FourBitQuantization(FourBitCode.Nf4, options ?? new()).Read(new StoredWeight(Name, [96, 64], "folder", name => parts.GetValueOrDefault(name), [.. parts.Keys]));

    [TestCaseSource(nameof(Names))]
    public void A_damaged_state_is_told(string name)
    {
        using var scope = torch.NewDisposeScope();
        var (isDouble, damage, said) = Cases[name];
        var parts = Parts(new() { DoubleQuant = isDouble });
        Assert.That(Read(parts), Is.Not.Null, "whole it is read");
        parts = Parts(new() { DoubleQuant = isDouble });
        damage(parts);
        Assert.That(Assert.Throws<UserErrorException>(() => Read(parts))!.Message, Does.Contain("folder").And.Contain(Name).And.Contain(said));
    }

    [Test]
    public void Factors_whose_mean_overflows_are_told([Values] bool spread)
    {
        using var scope = torch.NewDisposeScope();
        var weight = torch.full([8, 64], 3e38);
        if (spread) weight[0] = torch.full([64], 1e-3);
        var error = Assert.Throws<UserErrorException>(() => new FourBitQuantization(FourBitCode.Nf4, new FourBitOptions()).Quantize(Name, weight));
        Assert.That(error!.Message, Does.Contain(Name).And.Contain("double_quant").And.Contain("3.4e38"));
        Assert.DoesNotThrow(() => new FourBitQuantization(FourBitCode.Nf4, new FourBitOptions { DoubleQuant = false }).Quantize(Name, weight));
    }

    [Test]
    public void Options_that_a_folder_cannot_follow_are_refused_with_both_values()
    {
        using var scope = torch.NewDisposeScope();
        string Refused(FourBitOptions own, FourBitOptions asked) => Assert.Throws<UserErrorException>(() => Read(Parts(own), asked))!.Message;
        Assert.That(Refused(new(), new() { Blocksize = 128 }), Does.Contain("blocks of 64").And.Contain("blocksize 128").And.Contain("up_proj"));
        Assert.That(Refused(new(), new() { DoubleQuant = false }), Does.Contain("double_quant true").And.Contain("double_quant false"));
        Assert.That(Refused(new(), new() { Skip = ["up_proj"] }), Does.Contain("in 4 bits").And.Contain("skip [up_proj]"));
        foreach (var own in (FourBitOptions[])[new(), new() { Blocksize = 128 }, new() { DoubleQuant = false }])
        {
            Assert.That(Read(Parts(own), own), Is.Not.Null);
            Assert.That(Read(Parts(own), new() { ComputeDtype = "bfloat16", Skip = ["down_proj"] }), Is.Not.Null);
        }
    }
}
