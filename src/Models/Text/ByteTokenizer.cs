// The tokenizer `bytes`: id = byte of the UTF-8 text, then <s> 256, </s> 257, <pad> 258. It needs no training and knows no
// unknown character, so tiny models use it. It writes itself as a tokenizer.json: byte-level BPE without merges.
using System.Text;
using System.Text.Json;
using PeftAlign.Abstractions;
using PeftAlign.Models.Text.Files;

namespace PeftAlign.Models.Text;

/// <summary>Makes and writes the byte tokenizer (259 ids; a text is preceded by <c>&lt;s&gt;</c>).</summary>
public static class ByteTokenizer
{
    /// <summary>Id of <c>&lt;s&gt;</c>, put before each text.</summary>
    public const int Bos = 256;

    /// <summary>Id of <c>&lt;/s&gt;</c>.</summary>
    public const int Eos = 257;

    /// <summary>Id of <c>&lt;pad&gt;</c>.</summary>
    public const int Pad = 258;

    private static readonly string[] Specials = ["<s>", "</s>", "<pad>"];

    /// <summary>Makes the tokenizer: what loading the saved files gives, an <see cref="ITokenizerDetails"/> too.</summary>
    public static ITokenizer Create()
    {
        using var document = JsonDocument.Parse(TokenizerJson());
        var parts = Files.TokenizerJson.Read(new JsonField("bytes", "", document.RootElement));
        return new PipelineTokenizer(parts with { Roles = new TokenRoles(Specials[0], Specials[1], null, Specials[2]) });
    }

    /// <summary>Writes tokenizer.json and tokenizer_config.json into <paramref name="folder"/>; both appear by rename.</summary>
    public static void Save(string folder)
    {
        Directory.CreateDirectory(folder);
        Write(folder, "tokenizer.json", TokenizerJson());
        Write(folder, "tokenizer_config.json", ConfigJson());
    }

    /// <summary>The text of tokenizer.json.</summary>
    public static string TokenizerJson() => Serialize(writer =>
    {
        writer.WriteString("version", "1.0");
        writer.WriteNull("truncation");
        writer.WriteNull("padding");
        writer.WriteStartArray("added_tokens");
        for (var i = 0; i < Specials.Length; i++) WriteAddedToken(writer, Bos + i, Specials[i]);
        writer.WriteEndArray();
        writer.WriteNull("normalizer");
        WriteByteLevel(writer, "pre_tokenizer");
        WriteTemplate(writer);
        WriteByteLevel(writer, "decoder");
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

    private static void WriteByteLevel(Utf8JsonWriter writer, string field)
    {
        writer.WriteStartObject(field);
        writer.WriteString("type", "ByteLevel");
        foreach (var flag in (string[])["add_prefix_space", "trim_offsets", "use_regex"]) writer.WriteBoolean(flag, false);
        writer.WriteEndObject();
    }

    private static void WriteTemplate(Utf8JsonWriter writer)
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
        writer.WriteNumberValue(Bos);
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

    private static void WriteModel(Utf8JsonWriter writer)
    {
        writer.WriteStartObject("model");
        writer.WriteString("type", "BPE");
        foreach (var field in (string[])["dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix"])
            writer.WriteNull(field);
        foreach (var flag in (string[])["fuse_unk", "byte_fallback", "ignore_merges"]) writer.WriteBoolean(flag, false);
        writer.WriteStartObject("vocab");
        for (var b = 0; b < 256; b++) writer.WriteNumber(ByteAlphabet.CharOf((byte)b).ToString(), b);
        writer.WriteEndObject();
        writer.WriteStartArray("merges");
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
