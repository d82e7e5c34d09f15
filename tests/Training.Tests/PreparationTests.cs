// Rows are prepared by several threads before the first step; which rows are trained, what the ledger counts and which row is refused do not depend on them.

using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;

namespace PeftAlign.Training.Tests;

public sealed class PreparationTests : TrainingTest
{
    private static readonly string[] Methods = ["sft", "dpo", "kto", "cpo", "orpo", "reward"];

    private static IAlignmentMethod Method(string name) => name switch
    {
        "sft" => Fixtures.Sft(),
        "dpo" => Fixtures.Dpo(new PeftAlign.Methods.Dpo.DpoOptions()),
        "kto" => Fixtures.Method<PeftAlign.Methods.Kto.KtoPlugin, PeftAlign.Methods.Kto.KtoOptions>("kto", new()),
        "cpo" => Fixtures.Method<PeftAlign.Methods.Cpo.CpoPlugin, PeftAlign.Methods.Cpo.CpoOptions>("cpo", new()),
        "orpo" => Fixtures.Method<PeftAlign.Methods.Orpo.OrpoPlugin, PeftAlign.Methods.Orpo.OrpoOptions>("orpo", new()),
        _ => Fixtures.Method<PeftAlign.Methods.Reward.RewardPlugin, PeftAlign.Methods.Reward.RewardOptions>("reward", new()),
    };

    // Rows of 2 to 12 tokens, of which max_length cuts some and leaves nothing of others.
    private static DataRecord Row(string method, int k, int other = 3)
    {
        static JsonArray Ids(int count, int first) => new([.. Enumerable.Range(0, count).Select(i => (JsonNode)(i == 0 ? first : 3 + i))]);
        var row = new JsonObject { ["prompt_ids"] = Ids(1 + (k % 7), 5) };
        if (method is "sft" or "kto") (row["completion_ids"], row["label"]) = (Ids(1 + (k % 5), other), k % 2 == 0);
        else (row["chosen_ids"], row["rejected_ids"]) = (Ids(1 + (k % 5), other), Ids(1 + (k % 3), 4));
        return new DataRecord(row, "test", k + 1);
    }

    private (string Rows, string Ledger) Prepared(string method, IReadOnlyList<DataRecord> rows, int threads)
    {
        var run = Fixtures.SmallRun(Folder, new TrainingOptions { MaxSteps = 1, BatchSize = 2, MaxLength = 6 }) with { Records = rows, Method = Method(method) };
        var context = TrainingRows.Context(run, new MaskLedger()) with { Threads = threads };
        var kept = TrainingRows.Trainable(run, rows, context);
        return (string.Join(' ', kept.Select(row => row.Row)), JsonSerializer.Serialize(context.Ledger));
    }

    [TestCaseSource(nameof(Methods))]
    public void Rows_are_prepared_alike_by_any_number_of_threads(string method)
    {
        IReadOnlyList<DataRecord> rows = [.. Enumerable.Range(0, 500).Select(k => Row(method, k))];
        var one = Prepared(method, rows, 1);
        Assert.That(Prepared(method, rows, 3), Is.EqualTo(one));
        Assert.That(one.Rows.Split(' ').Length, Is.LessThan(method == "orpo" ? 501 : 500).And.GreaterThan(100), "some rows are left out");
    }

    [TestCaseSource(nameof(Methods))]
    public void The_first_row_that_is_refused_is_named(string method)
    {
        IReadOnlyList<DataRecord> rows = [.. Enumerable.Range(0, 500).Select(k => Row(method, k, k is 212 or 214 or 450 ? 1_000_000 : 3))];
        Assert.That(() => Prepared(method, rows, 3), Throws.InstanceOf<UserErrorException>().With.Message.StartsWith($"{rows[212].Place}: token id 1000000"));
    }
}
