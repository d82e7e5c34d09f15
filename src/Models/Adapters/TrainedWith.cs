// What an adapter depends on besides the base's weights: a tokenizer and, where it was trained on conversations, a chat template.
// Both lie in the adapter's folder: trained_with.json says what the tokenizer does, not how its files are written, so that another
// spelling of the same tokenizer passes; chat_template.jinja is where transformers looks for it too. Folders of other tools have no
// trained_with.json, but often the tokenizer's own files (TRL's), which are compared instead. An adapter that was trained over a quantised
// base says so there as well: it also corrects that base's errors, so over the full base it computes something else.

using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models.Templates;
using PeftAlign.Models.Text;

namespace PeftAlign.Models.Adapters;

/// <summary>Writes and checks what an adapter was trained with.</summary>
public static class TrainedWith
{
    private const string FileName = "trained_with.json";

    // Cases, digits, blanks, accents, scripts and marks that tokenizers split and normalise in different ways.
    private const string Probe = " Hello  world, it's 1234567 o'clock!\n\tΑλφα naïve Ünï 北京 日本語 한국 العربية 👍🏽 <|x|> a_b.c(d) ZWJ\u200d\n\n";

    // A record has a print of this many tokens and of each multiple: for a model with fewer rows, the longest one that its rows cover is compared.
    private const int Step = 256;
    private const int PrintLength = 16;

    private const string QuantizedBase = "quantized_base";

    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };

    /// <summary>Writes what the training had into an adapter's folder.</summary>
    /// <param name="folder">Where the adapter is being written.</param>
    /// <param name="tokenizer">Null where rows were token ids.</param>
    /// <param name="rows">Rows of the model's embedding; tokens without one play no part.</param>
    /// <param name="template">The text of the chat template that conversations were rendered with; null where there were none.</param>
    public static void Write(string folder, ITokenizer? tokenizer, long rows, string? template) => Write(folder, tokenizer, rows, template, overQuantized: false);

    /// <inheritdoc cref="Write(string, ITokenizer?, long, string?)"/>
    /// <param name="folder">Where the adapter is being written.</param>
    /// <param name="tokenizer">Null where rows were token ids.</param>
    /// <param name="rows">Rows of the model's embedding; tokens without one play no part.</param>
    /// <param name="template">The text of the chat template that conversations were rendered with; null where there were none.</param>
    /// <param name="overQuantized">Whether the base's matrices were quantised.</param>
    public static void Write(string folder, ITokenizer? tokenizer, long rows, string? template, bool overQuantized)
    {
        if (template is not null) AtomicFile.Write(Path.Combine(folder, ChatTemplateLoader.FileName), template);
        if (tokenizer is null) return;
        var (count, own) = ((int)Math.Min(tokenizer.VocabularySize, rows), new JsonObject());
        own["tokens"] = count;
        own["vocabulary_sha256"] = Vocabulary(tokenizer, count);
        own["beginnings_sha256"] = string.Join(' ', Beginnings(tokenizer, count));
        own["probe_sha256"] = Probed(tokenizer);
        var record = new JsonObject { ["tokenizer"] = own };
        if (overQuantized) record[QuantizedBase] = true;
        AtomicFile.Write(Path.Combine(folder, FileName), record.ToJsonString(Indented) + "\n");
    }

    /// <summary>Tells where an adapter was trained over a quantised base and is used over a full one, as far as its folder says so.</summary>
    /// <param name="adapter">The adapter's folder.</param>
    /// <param name="model">The base's folder.</param>
    /// <param name="isQuantized">Whether the base's matrices are quantised here.</param>
    /// <param name="warn">Told.</param>
    public static void WarnOfFullBase(string adapter, string model, bool isQuantized, Action<string> warn)
    {
        ArgumentNullException.ThrowIfNull(warn);
        var file = Path.Combine(adapter, FileName);
        if (!isQuantized && File.Exists(file) && Read(file).OverQuantized)
            warn($"{adapter} was trained over a quantised base, whose errors it corrects too, and {model} is in full precision: it computes something else there; `peftalign quantize --model {model} --type nf4 --double-quant` with the training's options writes the base that it belongs to");
    }

    /// <summary>Refuses a base whose ids are other words than those that the adapter was trained on.</summary>
    /// <param name="adapter">The adapter's folder.</param>
    /// <param name="model">The base's folder; without a tokenizer, nothing is compared.</param>
    /// <param name="rows">Rows of the base's embedding; tokens without one play no part.</param>
    /// <param name="warn">Told where the words are the same and texts are split in another way.</param>
    /// <param name="loaded">The base's tokenizer, where it is loaded already.</param>
    /// <exception cref="UserErrorException">The vocabularies differ, or trained_with.json is broken.</exception>
    /// <remarks>Tokens that the base has behind the adapter's are no difference: that is what adding tokens does.</remarks>
    public static void ThrowIfOther(string adapter, string model, long rows, Action<string> warn, ITokenizer? loaded = null)
    {
        if (!File.Exists(Path.Combine(adapter, FileName)) && !ModelFolder.HasTokenizer(adapter)) return;
        if ((loaded ?? (ModelFolder.HasTokenizer(model) ? TokenizerLoader.Load(model) : null)) is not { } tokenizer) return;
        var known = Known(adapter, tokenizer, rows);
        if (!HasTokens(tokenizer, known) && !HasBeginning(tokenizer, known, rows))
            throw new UserErrorException($"{adapter} was trained with another tokenizer than that of {model}: the first {known.Count} of the latter's {tokenizer.VocabularySize} ids stand for other tokens, so that its numbers would mean nothing there. Give the base that the adapter was trained over{Base(adapter)}, or remove {known.Source} if you know that they are the same.");
        if (Probed(tokenizer) != known.Probe)
            warn($"{adapter} was trained with a tokenizer of the same tokens as that of {model}, which splits some texts in another way (a blank before a text, a begin token, normalisation); results may differ");
    }

    /// <summary>Writes what adapters have in common into the folder of one that was made of them.</summary>
    /// <param name="folder">Where that is being written.</param>
    /// <param name="adapters">The folders that it was made of; what one does not say, the result does not.</param>
    /// <exception cref="UserErrorException">They were trained with different tokenizers.</exception>
    public static void Join(string folder, IReadOnlyList<string> adapters)
    {
        var known = adapters.Select(adapter => Path.Combine(adapter, FileName)).Where(File.Exists).Select(Read).ToList();
        if (known.Select(print => print.Vocabulary).Distinct().Count() > 1)
            throw new UserErrorException($"The adapters {string.Join(", ", adapters)} were trained with different tokenizers and are of no common base; combine adapters of one base.");
        // One tokenizer has one record, except for the prints of its beginnings, which earlier versions did not write.
        if (known.Count == adapters.Count && known.Select(print => (print.Count, print.Probe)).Distinct().Count() == 1)
            AtomicFile.Write(Path.Combine(folder, FileName), File.ReadAllText(known.OrderByDescending(print => print.OverQuantized).MaxBy(print => print.Beginnings.Length)!.Source));
        if (adapters.Select(TemplateIn).Distinct().ToList() is [{ } template]) AtomicFile.Write(Path.Combine(folder, ChatTemplateLoader.FileName), template);
    }

    /// <summary>The chat template that goes with a model and an adapter: the one that is asked for, else the adapter's, else the model's.</summary>
    /// <param name="model">The model's folder.</param>
    /// <param name="adapter">The adapter's folder; null for none.</param>
    /// <param name="option">What the user asks for, as for <see cref="ChatTemplateLoader.Load"/>; null for nothing.</param>
    /// <param name="say">Told at the first conversation where the adapter's is another than the model's, or than the one that is asked for.</param>
    /// <exception cref="ChatTemplateException">An unknown name, an unreadable file, or a faulty template.</exception>
    public static IChatTemplate? Template(string model, string? adapter, string? option, Action<string> say)
    {
        var own = adapter is null ? null : Path.Combine(adapter, ChatTemplateLoader.FileName) is var file && File.Exists(file) ? ChatTemplateLoader.Load(model, file) : ChatTemplateLoader.Load(adapter);
        var given = option is null && own is not null ? null : ChatTemplateLoader.Load(model, option);
        if (own is null) return given;
        if (option is not null)
            return given!.Source == own.Source ? given : new NotedTemplate(given, () => say($"warning: --chat-template {option} is another than {adapter} was trained with; without it, that one is taken"));
        return new NotedTemplate(own, () =>
        {
            if (ChatTemplateLoader.Load(model) is { } models && models.Source != own.Source) say($"conversations are rendered with the chat template in {adapter}, which it was trained with, not with that of {model}");
        });
    }

    /// <summary>The text of the chat template in an adapter's folder; null where it has none.</summary>
    /// <param name="adapter">The adapter's folder.</param>
    public static string? TemplateIn(string adapter) => Path.Combine(adapter, ChatTemplateLoader.FileName) is var file && File.Exists(file) ? File.ReadAllText(file) : null;

    private sealed record Fingerprint(int Count, string Vocabulary, string Probe, string Source)
    {
        internal string[] Beginnings { get; init; } = [];

        internal bool OverQuantized { get; init; }
    }

    private static bool HasTokens(ITokenizer tokenizer, Fingerprint known) => tokenizer.VocabularySize >= known.Count && Vocabulary(tokenizer, known.Count) == known.Vocabulary;

    // Tokens that the adapter was trained with but this model has no row for are ignored.
    private static bool HasBeginning(ITokenizer tokenizer, Fingerprint known, long rows)
    {
        var steps = (int)Math.Min(rows, known.Count) / Step;
        return rows < known.Count && tokenizer.VocabularySize >= rows && steps > 0 && steps <= known.Beginnings.Length && Beginnings(tokenizer, steps * Step)[^1] == known.Beginnings[steps - 1];
    }

    // The record in trained_with.json, else one made from the adapter's own tokenizer files.
    private static Fingerprint Known(string adapter, ITokenizer tokenizer, long rows)
    {
        var file = Path.Combine(adapter, FileName);
        if (File.Exists(file)) return Read(file);
        var own = TokenizerLoader.Load(adapter);
        var count = (int)Math.Min(Math.Min(own.VocabularySize, tokenizer.VocabularySize), rows); // theirs may have got a padding token that no adapter needs
        return new Fingerprint(count, Vocabulary(own, count), Probed(own), "its tokenizer files");
    }

    private static Fingerprint Read(string file)
    {
        try
        {
            var record = JsonNode.Parse(File.ReadAllText(file))!;
            var own = record["tokenizer"]!;
            // Records of earlier versions have no beginnings.
            return new Fingerprint((int)own["tokens"]!, (string)own["vocabulary_sha256"]!, (string)own["probe_sha256"]!, file) { Beginnings = ((string?)own["beginnings_sha256"] ?? "").Split(' ', StringSplitOptions.RemoveEmptyEntries), OverQuantized = (bool?)record[QuantizedBase] ?? false };
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or NullReferenceException or ArgumentException or FormatException)
        {
            throw new UserErrorException($"{file} does not say what the adapter was trained with: {e.Message} Restore it, or delete it to use the adapter unchecked.", e);
        }
    }

    // " (PATH)", where the adapter's configuration names it.
    private static string Base(string adapter)
    {
        var file = Path.Combine(adapter, "adapter_config.json");
        try
        {
            return File.Exists(file) && JsonNode.Parse(File.ReadAllText(file))?["base_model_name_or_path"] is JsonValue name && name.TryGetValue<string>(out var text) && text.Length > 0 ? $" ({text})" : "";
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or ArgumentException)
        {
            return ""; // what is wrong with it is told by who reads it
        }
    }

    private static string Vocabulary(ITokenizer tokenizer, int count)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        for (var id = 0; id < count; id++) Append(hash, tokenizer, id);
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    // Prints of the first 256 tokens, of the first 512 and so on.
    private static List<string> Beginnings(ITokenizer tokenizer, int count)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var prints = new List<string>();
        for (var id = 0; id < count; id++)
        {
            Append(hash, tokenizer, id);
            if ((id + 1) % Step == 0) prints.Add(Convert.ToHexStringLower(hash.GetCurrentHash())[..PrintLength]);
        }
        return prints;
    }

    private static void Append(IncrementalHash hash, ITokenizer tokenizer, int id) =>
        hash.AppendData(Encoding.UTF8.GetBytes(((tokenizer as ITokenizerDetails)?.IdToToken(id) ?? tokenizer.Decode([id])) + "\0"));

    private static string Probed(ITokenizer tokenizer) =>
        Convert.ToHexStringLower(SHA256.HashData(Encoding.ASCII.GetBytes(string.Join(' ', tokenizer.EncodeToIds(Probe).Select(id => id.ToString(CultureInfo.InvariantCulture))))));
}
