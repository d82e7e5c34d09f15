// tokenizer.json and tokenizer_config.json of a byte-level tokenizer with a begin, an end and a padding token, as Hugging Face's libraries
// read them; a text is preceded by the begin token.
using System.Text;
using System.Text.Json;

namespace PeftAlign.Models.Text;

/// <param name="FirstSpecial">Id of the begin token; the end and the padding token follow it.</param>
/// <param name="Vocabulary">Tokens in the byte alphabet by id; those with a role may be among them.</param>
/// <param name="Merges">In the order in which they apply.</param>
/// <param name="CutsWords">Whether texts are cut into GPT-2's words first.</param>
internal sealed record ByteLevelFiles(int FirstSpecial, IReadOnlyList<string> Vocabulary, IReadOnlyList<(string First, string Second)> Merges, bool CutsWords)
{
    /// <summary>The tokens with a role: begin, end, padding.</summary>
    internal static IReadOnlyList<string> Specials { get; } = ["<s>", "</s>", "<pad>"];

    /// <summary>Writes both files; they appear by rename.</summary>
    internal static void Save(string folder, ByteLevelFiles files)
    {
        Directory.CreateDirectory(folder);
        Write(folder, "tokenizer.json", files.TokenizerJson());
        Write(folder, "tokenizer_config.json", ConfigJson());
    }

    /// <summary>The text of tokenizer.json.</summary>
    internal string TokenizerJson() => Serialize(writer =>
    {
        writer.WriteString("version", "1.0");
        writer.WriteNull("truncation");
        writer.WriteNull("padding");
        writer.WriteStartArray("added_tokens");
        for (var i = 0; i < Specials.Count; i++) WriteAddedToken(writer, FirstSpecial + i, Specials[i]);
        writer.WriteEndArray();
        writer.WriteNull("normalizer");
        WriteByteLevel(writer, "pre_tokenizer", CutsWords);
        WriteTemplate(writer);
        WriteByteLevel(writer, "decoder", words: false);
        WriteModel(writer);
    });

    private static void WriteAddedToken(Utf8JsonWriter writer, int id, string content)
    {
        writer.WriteStartObject();
        writer.WriteNumber("id", id);
        writer.WriteString("content", content);
        foreach (var flag in (string[])["single_word", "lstrip", "rstrip", "normalized"]) writer.WriteBoolean(flag, false);
        writer.WriteBoolean("special", true);
        writer.WriteEndObject();
    }

    private static void WriteByteLevel(Utf8JsonWriter writer, string field, bool words)
    {
        writer.WriteStartObject(field);
        writer.WriteString("type", "ByteLevel");
        foreach (var flag in (string[])["add_prefix_space", "trim_offsets"]) writer.WriteBoolean(flag, false);
        writer.WriteBoolean("use_regex", words);
        writer.WriteEndObject();
    }

    private void WriteTemplate(Utf8JsonWriter writer)
    {
        writer.WriteStartObject("post_processor");
        writer.WriteString("type", "TemplateProcessing");
        writer.WriteStartArray("single");
        WriteTemplatePart(writer, "SpecialToken", Specials[0], 0);
        WriteTemplatePart(writer, "Sequence", "A", 0);
        writer.WriteEndArray();
        writer.WriteStartArray("pair");
        WriteTemplatePart(writer, "SpecialToken", Specials[0], 0);
        WriteTemplatePart(writer, "Sequence", "A", 0);
        WriteTemplatePart(writer, "SpecialToken", Specials[0], 1);
        WriteTemplatePart(writer, "Sequence", "B", 1);
        writer.WriteEndArray();
        writer.WriteStartObject("special_tokens");
        writer.WriteStartObject(Specials[0]);
        writer.WriteString("id", Specials[0]);
        writer.WriteStartArray("ids");
        writer.WriteNumberValue(FirstSpecial);
        writer.WriteEndArray();
        writer.WriteStartArray("tokens");
        writer.WriteStringValue(Specials[0]);
        writer.WriteEndArray();
        writer.WriteEndObject();
        writer.WriteEndObject();
        writer.WriteEndObject();
    }

    private static void WriteTemplatePart(Utf8JsonWriter writer, string kind, string id, int typeId)
    {
        writer.WriteStartObject();
        writer.WriteStartObject(kind);
        writer.WriteString("id", id);
        writer.WriteNumber("type_id", typeId);
        writer.WriteEndObject();
        writer.WriteEndObject();
    }

    private void WriteModel(Utf8JsonWriter writer)
    {
        writer.WriteStartObject("model");
        writer.WriteString("type", "BPE");
        foreach (var field in (string[])["dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix"])
            writer.WriteNull(field);
        foreach (var flag in (string[])["fuse_unk", "byte_fallback", "ignore_merges"]) writer.WriteBoolean(flag, false);
        writer.WriteStartObject("vocab");
        for (var id = 0; id < Vocabulary.Count; id++) writer.WriteNumber(Vocabulary[id], id);
        writer.WriteEndObject();
        writer.WriteStartArray("merges");
        foreach (var (first, second) in Merges)
        {
            writer.WriteStartArray();
            writer.WriteStringValue(first);
            writer.WriteStringValue(second);
            writer.WriteEndArray();
        }
        writer.WriteEndArray();
        writer.WriteEndObject();
    }

    private static string ConfigJson() => Serialize(writer =>
    {
        writer.WriteString("tokenizer_class", "PreTrainedTokenizerFast");
        writer.WriteString("bos_token", Specials[0]);
        writer.WriteString("eos_token", Specials[1]);
        writer.WriteString("pad_token", Specials[2]);
        writer.WriteBoolean("clean_up_tokenization_spaces", false);
    });

    private static string Serialize(Action<Utf8JsonWriter> fields)
    {
        using var stream = new MemoryStream();
        using (var writer = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true }))
        {
            writer.WriteStartObject();
            fields(writer);
            writer.WriteEndObject();
        }
        return Encoding.UTF8.GetString(stream.GetBuffer(), 0, (int)stream.Length) + "\n";
    }

    private static void Write(string folder, string name, string text) => AtomicFile.Write(Path.Combine(folder, name), text);
}
