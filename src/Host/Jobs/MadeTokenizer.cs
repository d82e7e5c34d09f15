// The tokenizer of a model that is made in the run: bytes, existing files, or one that is learned from a data set. The keys of
// config.json that it decides are known before it is made.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models.Text;

namespace PeftAlign.Host.Jobs;

/// <param name="Vocabulary">Rows that an embedding needs.</param>
/// <param name="Bos">Id of the token before a text; null for none.</param>
/// <param name="Eos">Id of the token behind a text; null for none.</param>
/// <param name="Pad">Id of the token that fills rows; null for none.</param>
internal sealed record MadeTokenizer(int Vocabulary, int? Bos, int? Eos, int? Pad)
{
    /// <summary>What lies beside weights for a tokenizer's sake: a folder's files of these names are copied, and no other.</summary>
    private static readonly string[] Names =
    [
        "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json", "encoder.json", "merges.txt", "vocab.bpe",
        "dict.txt", "chat_template.jinja", "chat_template.json",
    ];

    /// <summary>Of a job's options.</summary>
    /// <param name="tokenizer">"bytes", a path, or {"train", "size"}.</param>
    /// <param name="full">A path from the manifest's folder.</param>
    /// <exception cref="UserErrorException">The files are no tokenizer.</exception>
    internal static MadeTokenizer Of(JsonNode tokenizer, Func<string, string> full)
    {
        if (tokenizer is JsonObject learned) return new MadeTokenizer((int)learned["size"]!, 0, 1, 2);
        var found = Loaded((string)tokenizer!, full);
        return new MadeTokenizer(found.VocabularySize, found.SpecialTokens.Bos, found.SpecialTokens.Eos, found.SpecialTokens.Pad);
    }

    /// <summary>The tokenizer, for counts; of one that is yet to be learned the bytes, which it merges.</summary>
    internal static ITokenizer Expected(JsonNode tokenizer, Func<string, string> full) => tokenizer is JsonObject ? ByteTokenizer.Create() : Loaded((string)tokenizer!, full);

    /// <summary>The folder whose files it gets, a chat template among them; null where it is made of none.</summary>
    internal static string? Folder(JsonNode tokenizer, Func<string, string> full) =>
        tokenizer is JsonObject || (string)tokenizer! == "bytes" ? null : full((string)tokenizer!) is var path && Directory.Exists(path) ? path : Path.GetDirectoryName(path);

    /// <summary>Whether nothing that it is made of is missing.</summary>
    internal static bool IsThere(JsonNode tokenizer, Func<string, string> full) =>
        Folder(tokenizer, full) is null || Path.Exists(full((string)tokenizer!));

    /// <summary>Writes its files.</summary>
    /// <param name="job">Whose data sets and log are used.</param>
    /// <param name="tokenizer">As for <see cref="Of"/>.</param>
    /// <param name="folder">The new model's.</param>
    internal static void Write(JobContext job, JsonNode tokenizer, string folder)
    {
        if (tokenizer is JsonObject learned) Learn(job, learned, folder);
        else if ((string)tokenizer! == "bytes") ByteTokenizer.Save(folder);
        else Copy(job.Spec.FullPath((string)tokenizer!), folder);
    }

    private static ITokenizer Loaded(string name, Func<string, string> full) => name == "bytes" ? ByteTokenizer.Create() : TokenizerLoader.Load(full(name));

    // One file stands for itself and what it cannot be read without; its name decides what it is.
    private static void Copy(string path, string folder)
    {
        var from = Folder(path, given => given)!;
        foreach (var file in Directory.GetFiles(from).Where(file => IsTokenizers(Path.GetFileName(file)))) AtomicFile.Copy(file, Path.Combine(folder, Path.GetFileName(file)));
        if (from == path || File.Exists(Path.Combine(folder, Path.GetFileName(path)))) return;
        throw new UserErrorException($"tokenizer: {path}: a model's folder holds a tokenizer under one of the names {string.Join(", ", Names[..8])} or *.model; rename the file, or name its folder.");
    }

    private static bool IsTokenizers(string name) => Names.Contains(name) || name.EndsWith(".model", StringComparison.Ordinal) || name.StartsWith("tokenizer.model.", StringComparison.Ordinal);

    private static void Learn(JobContext job, JsonObject learned, string folder)
    {
        var (training, size, rows) = (new BpeTraining(), (int)learned["size"]!, 0);
        foreach (var record in job.Open(new DatasetReference(learned["train"]!.AsObject())))
        {
            job.Cancellation.ThrowIfCancellationRequested();
            rows++;
            foreach (var text in Texts(record.Fields)) training.Add(text);
        }
        if (rows == 0) throw new UserErrorException($"{job.Spec.Label}: the data set of `tokenizer: {{ train: ... }}` has no row; give it rows, or another data set.");
        var made = training.Save(folder, size, job.Cancellation);
        if (made < size) job.Warn($"the texts of {rows} rows give a vocabulary of {made} entries, of the {size} that were asked for; the embedding has {size} rows");
    }

    // Every text of a row, including those of its messages; the template writes who speaks.
    private static IEnumerable<string> Texts(JsonNode? node) => node switch
    {
        JsonObject fields => fields.Where(field => field.Key != "role").SelectMany(field => Texts(field.Value)),
        JsonArray items => items.SelectMany(Texts),
        JsonValue value when value.TryGetValue<string>(out var text) => [text],
        _ => [],
    };
}
