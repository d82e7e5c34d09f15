// Merge strategies: a function of one tensor's values, so all of it can be checked on small made-up tensors, and what it holds in
// memory on one large one.
// conformance/merge.NAME.json: { "models": N, "options": {...}, "reversed": {...} | false, "values": { "inputs": [[...], ...],
// "base": [...], "result": [...] }, "tensors": N }. reversed: the options that give the same of the models in reverse order; left
// out, the options with each list of values per model turned round; false where no options do. values: a case worked by hand.
// tensors: how many float32 tensors of the inputs' size a merge may hold at once beside them, its result included; 3 if left out.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Plugins;
using PeftAlign.Torch;

namespace PeftAlign.Testing;

internal static class MergeKit
{
    public static IEnumerable<ConformanceCheck> Checks(Subject subject, ProvidedContract provided)
    {
        (string Rule, Action<Merging> Check)[] rules =
        [
            ("says how many models it takes", SaysHowManyModelsItTakes),
            ("has the sample's value", HasTheSamplesValue),
            ("gives equal models back", GivesEqualModelsBack),
            ("gives the models' shape", GivesTheModelsShape),
            ("does not care for the order of models", DoesNotCareForOrder),
            ("gives the same again, whatever came between", GivesTheSameAgain),
            ("computes in float32 whatever is stored", ComputesInFloat32),
            ("makes no NaN of finite models", MakesNoNaN),
            ("hides no NaN of a model", HidesNoNaN),
            ("leaves the models as they are", LeavesTheModelsAsTheyAre),
            ("holds few tensors at once", MergeMemory.HoldsFewTensors),
        ];
        return rules.Select(rule => new ConformanceCheck($"merge {provided.Name}: {rule.Rule}", () =>
        {
            using var scope = torch.NewDisposeScope();
            rule.Check(new Merging(subject, provided, subject.Sample(provided)));
        }));
    }

    private static void SaysHowManyModelsItTakes(Merging merging)
    {
        Expect.That(merging.Provided.Inputs != "", "Plans count the models before anything is made: mark the options class with [ContractTraits(Inputs = \"[2,2]\")] (exactly two) or \"[1,)\" (any number).");
        Expect.That(merging.Takes(merging.Models), $"The sample merges {merging.Models} models, but the strategy takes {merging.Provided.Inputs}.");
    }

    private static void HasTheSamplesValue(Merging merging)
    {
        var values = merging.Sample.Json["values"] as JsonObject
            ?? throw new ConformanceException("The sample needs \"values\", a case worked by hand: { \"inputs\": [[1, 2], [3, 4]], \"base\": [0, 0], \"result\": [2, 3] }.");
        var inputs = values["inputs"]!.AsArray().Select(input => Merging.Tensor(input!)).ToArray();
        var expected = Merging.Numbers(values["result"]!);
        var found = merging.Merge(inputs, values["base"] is { } origin ? Merging.Tensor(origin) : null).to(torch.float32).data<float>().ToArray();
        Expect.That(found.Length == expected.Length && found.Zip(expected).All(pair => Near(pair.First, pair.Second)), $"The sample's result is {string.Join(", ", expected)}; the strategy gave {string.Join(", ", found)}.");
    }

    private static void GivesEqualModelsBack(Merging merging)
    {
        var model = merging.Input(0);
        foreach (var origin in merging.Bases(model))
            ExpectNear(model, merging.Merge([.. Enumerable.Repeat(model, merging.Models)], origin), "Of models that are all the same, and equal to the base, that model comes out");
    }

    private static void GivesTheModelsShape(Merging merging)
    {
        foreach (long[] shape in (long[][])[[24, 16], [7], [1, 1], [2, 3, 4]])
            foreach (var origin in merging.Bases(merging.Origin(shape)))
            {
                var result = merging.Merge(merging.Inputs(shape), origin);
                Expect.That(result.shape.SequenceEqual(shape), $"Of models of the shape ({string.Join(", ", shape)}) came ({string.Join(", ", result.shape)}).");
                Expect.That(result.is_floating_point(), $"The result is of the type {result.dtype}; it must be a floating-point one.");
            }
    }

    private static void DoesNotCareForOrder(Merging merging)
    {
        if (merging.Reversed is not { } reversed) return;
        foreach (var origin in merging.Bases(merging.Origin()))
        {
            var inputs = merging.Inputs();
            var one = merging.Merge(inputs, origin);
            var other = merging.Merge([.. inputs.Reverse()], origin, reversed, model => inputs.Length - 1 - model);
            ExpectNear(one, other, $"With the models in reverse order, the options being {reversed.ToJsonString()}, the same comes out (\"reversed\": false in the sample if order has a meaning)");
        }
    }

    private static void GivesTheSameAgain(Merging merging)
    {
        var strategy = merging.Strategy();
        var (inputs, origin) = (merging.Inputs(), merging.Bases(merging.Origin())[0]);
        var first = merging.Merge(inputs, origin, strategy);
        merging.Merge([.. inputs.Reverse().Select(input => input * 3)], origin, strategy);
        Expect.That(first.equal(merging.Merge(inputs, origin, strategy)), "The same tensors gave another result after others had been merged; the host merges tensors in any order and on all cores.");
        Expect.That(first.equal(merging.Merge(inputs, origin, merging.Strategy())), "Another instance gave another result; random numbers come from RandomOf alone.");
    }

    // Values that every type holds exactly: what differs then is the arithmetic.
    private static void ComputesInFloat32(Merging merging)
    {
        foreach (var type in (torch.ScalarType[])[torch.bfloat16, torch.float16])
            foreach (var narrow in (int[])[merging.Models, 1])
                foreach (var origin in merging.Bases(merging.Origin().to(type).to(torch.float32)))
                {
                    var exact = merging.Inputs().Select(input => input.to(type).to(torch.float32)).ToArray();
                    var stored = exact.Select((input, k) => k < narrow ? input.to(type) : input).ToArray();
                    var expected = merging.Merge(exact, origin).to(type);
                    var found = merging.Merge(stored, origin?.to(type)).to(type);
                    Expect.That(found.equal(expected), $"With {narrow} of {merging.Models} models stored as {type}, the result, rounded to that type, differs from what the same numbers give as float32; widen with to(torch.float32) before computing.");
                }
    }

    private static void MakesNoNaN(Merging merging)
    {
        (string What, Func<int, Tensor> Input)[] cases =
        [
            ("all zero", _ => torch.zeros([24, 16])),
            ("opposite to each other", k => merging.Input(0) * (k % 2 == 0 ? 1 : -1)),
            ("zero but for one number", k => One(k == 0 ? 1 : 0)),
            ("as small as float32 has them", _ => torch.ones([24, 16]) * 1e-38),
        ];
        foreach (var (what, input) in cases)
            foreach (var origin in merging.Bases(torch.zeros([24, 16])))
                try
                {
                    var result = merging.Merge([.. Enumerable.Range(0, merging.Models).Select(input)], origin);
                    Expect.That(result.isfinite().all().item<bool>(), $"Of models that are {what} came NaN or infinity. Give a finite result, or say with a UserErrorException that there is none.");
                }
                catch (UserErrorException)
                {
                    // Refused in words: nothing false is written.
                }
    }

    private static Tensor One(double value)
    {
        var tensor = torch.zeros([24 * 16]);
        tensor.narrow(0, 5, 1).fill_(value);
        return tensor.reshape(24, 16);
    }

    private static void HidesNoNaN(Merging merging)
    {
        var broken = merging.Inputs();
        broken[^1] = torch.ones([24, 16]) * double.NaN;
        foreach (var origin in merging.Bases(merging.Origin()))
            try
            {
                Expect.That(merging.Merge(broken, origin).isnan().any().item<bool>(), "A model that holds nothing but NaN went into the merge, and the result looks sound. Let NaN through, or refuse it with a UserErrorException.");
            }
            catch (UserErrorException)
            {
                // Refused: as good.
            }
    }

    private static void LeavesTheModelsAsTheyAre(Merging merging)
    {
        foreach (var origin in merging.Bases(merging.Origin()))
        {
            var inputs = merging.Inputs();
            Tensor[] given = origin is null ? inputs : [.. inputs, origin];
            var before = given.Select(tensor => tensor.clone()).ToArray();
            var result = merging.Merge(inputs, origin);
            Expect.That(given.Zip(before).All(pair => pair.First.equal(pair.Second)),
                "A model's tensor changed while it was merged; it may be the mapped file. to(torch.float32) of a float32 tensor shares its memory: to(torch.float32, copy: true) before anything in place.");
            Expect.That(!given.Contains(result, ReferenceEqualityComparer.Instance), "The result is one of the given tensors, which the host disposes of; give alias() of it.");
        }
    }

    private static bool Near(double one, double other) => Math.Abs(one - other) <= 1e-5 * Math.Max(1, Math.Abs(other));

    private static void ExpectNear(Tensor expected, Tensor found, string rule)
    {
        var difference = (expected.to(torch.float32) - found.to(torch.float32)).abs().max().item<float>();
        Expect.That(difference <= 1e-5 * Math.Max(1, expected.abs().max().item<float>()), $"{rule}; the largest difference is {difference:G3}.");
    }
}
