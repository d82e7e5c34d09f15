// The rows of a run: the method arranges each source's rows; those without a trained token are left out and counted, source by source.

using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models.Engine;
using PeftAlign.Models.Rows;
using PeftAlign.Torch;

namespace PeftAlign.Training;

/// <param name="Records">As the method arranged them, one source after the other.</param>
/// <param name="Ledger">What became of every row.</param>
/// <param name="Sources">The same for each source of a mixture, with the rows that it has now.</param>
internal sealed record TrainingRows(IReadOnlyList<DataRecord> Records, MaskLedger Ledger, IReadOnlyList<(MixtureShare Source, MaskLedger Ledger)> Sources)
{
    private static readonly JsonSerializerOptions Format = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower, WriteIndented = true };

    internal static TrainingRows Of(TrainingRun run)
    {
        if (run.Mixture.Count == 0)
        {
            var ledger = new MaskLedger();
            return new TrainingRows(Trainable(run, run.Records, Context(run, ledger)), ledger, []);
        }
        if (run.Mixture.Sum(s => s.Rows) != run.Records.Count) throw new ArgumentException($"the mixture has {run.Mixture.Sum(s => s.Rows)} rows and the run {run.Records.Count}");
        var (records, total, sources, from) = (new List<DataRecord>(), new MaskLedger(), new List<(MixtureShare, MaskLedger)>(), 0);
        foreach (var source in run.Mixture)
        {
            var ledger = new MaskLedger();
            var own = Trainable(run, [.. run.Records.Skip(from).Take(source.Rows)], Context(run, ledger));
            from += source.Rows;
            records.AddRange(own);
            total.Add(ledger);
            sources.Add((source with { Rows = own.Count }, ledger));
        }
        return new TrainingRows(records, total, sources);
    }

    /// <summary>The order in which they are trained.</summary>
    /// <exception cref="UserErrorException">A source with a share of every batch has no row.</exception>
    internal BatchOrder Order(TrainingOptions options)
    {
        if (!Sources.Any(s => s.Source.Proportion is not null)) return new BatchOrder(Records.Count, options);
        if (Sources.FirstOrDefault(s => s.Source.Rows == 0) is { Source: { } empty, Ledger: { } ledger })
            throw new UserErrorException($"The mixture's data set '{empty.Name}' has a share of every batch and no row with a token to train: {Counts(ledger)}. Give it rows or leave it out.");
        return new BatchOrder(Records.Count, options, new MixedOrder([.. Sources.Select(s => s.Source.Rows)], [.. Sources.Select(s => s.Source.Proportion!.Value)], options));
    }

    /// <summary>What became of rows of which none is trained, for messages: the folder with ledger.json may be gone when they are read.</summary>
    internal static string Counts(MaskLedger ledger) =>
        $"of {ledger.Rows} row(s) {ledger.RowsTruncated} lost {ledger.TokensCut} token(s) to truncation, and of the {ledger.TokensRefused} token(s) left none is trained";

    /// <summary>ledger.json: the counts of all rows and, of a mixture, those of each source.</summary>
    internal string LedgerJson()
    {
        var json = JsonSerializer.SerializeToNode(Ledger, Format)!.AsObject();
        if (Sources.Count > 0) json["sources"] = new JsonObject(Sources.Select(s => KeyValuePair.Create(s.Source.Name, (JsonNode?)Json(s.Source, s.Ledger))));
        return json.ToJsonString(Format) + "\n";
    }

    private static JsonObject Json(MixtureShare source, MaskLedger ledger)
    {
        var json = JsonSerializer.SerializeToNode(ledger, Format)!.AsObject();
        if (source.Proportion is { } proportion) json.Insert(0, "proportion", proportion);
        return json;
    }

    /// <summary>The rows with a token to train, as the method arranges them.</summary>
    /// <exception cref="UserErrorException">A token that the model does not have, or packing where the method has none.</exception>
    internal static List<DataRecord> Trainable(TrainingRun run, IReadOnlyList<DataRecord> rows, PrepareContext context)
    {
        var engine = new LogProbEngine(run.Model);
        // A sequence that is scored has one token more behind it, which asks for the score.
        var (most, limit) = (run.Options.Within(run.Model.Spec).MaxLength, run.Model.Spec.Names.Positions is null ? "" : $" (at most {run.Model.Spec.MaxPositions})");
        var longest = (long)most + (run.Method.Needs.Scores ? 1 : 0);
        if (run.Options.Packing is not null && run.Method is not IArrangesRecords)
            throw new UserErrorException("packing is on, but this method does not pack rows; leave packing and eval_packing out.");
        var arranged = run.Method.Arranged(rows, context);
        if (!run.Method.PreparesConcurrently) return [.. arranged.Where(record => Prepared(record, context).Count > 0)];
        var kept = new List<DataRecord>();
        foreach (var (own, ledger) in OrderedWork.Map(OrderedWork.Batches(arranged, _ => 1), context.Threads, Kept))
        {
            kept.AddRange(own);
            context.Ledger.Add(ledger);
        }
        return kept;

        (List<DataRecord> Own, MaskLedger Ledger) Kept(IReadOnlyList<DataRecord> batch)
        {
            var own = context with { Ledger = new MaskLedger() };
            return ([.. batch.Where(record => Prepared(record, own).Count > 0)], own.Ledger);
        }

        IReadOnlyList<CompletionGroup> Prepared(DataRecord record, PrepareContext context)
        {
            var groups = run.Method.Prepared([record], context);
            if (groups.Select(engine.UnknownToken).FirstOrDefault(id => id is not null) is { } unknown)
                throw new UserErrorException($"{record.Place}: token id {unknown} is not in the model's vocabulary of {run.Model.Spec.Vocabulary}; the row was made with another tokenizer, or tokenizer_config.json names a token that the model has no row for.");
            if (groups.SelectMany(group => group.Completions, (group, own) => group.Prompt.Length + own.Tokens.Length).Where(length => length > longest).FirstOrDefault() is > 0 and var tokens)
                throw new BrokenContractException(run.Method, $"Prepare gave a sequence of {tokens} tokens for {record.Place}", $"max_length and the model's positions allow {longest}: raise max_length{limit}, or let the method cut rows at the MaxLength that Prepare is given");
            return groups;
        }
    }

    internal static PrepareContext Context(TrainingRun run, MaskLedger ledger) =>
        run.Options.Context(run.Tokenizer, run.ChatTemplate, ledger) with { Packing = run.Options.Packing, PadToken = run.PadToken, Threads = torch.get_num_threads() };
}
