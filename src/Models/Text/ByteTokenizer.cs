// The tokenizer `bytes`: id = byte of the UTF-8 text, then <s> 256, </s> 257, <pad> 258. It needs no training and knows no
// unknown character, so tiny models use it. It writes itself as a tokenizer.json: byte-level BPE without merges.
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

    private static readonly ByteLevelFiles Written = new(Bos, [.. Enumerable.Range(0, 256).Select(b => ByteAlphabet.CharOf((byte)b).ToString())], [], CutsWords: false);

    /// <summary>Makes the tokenizer: what loading the saved files gives, an <see cref="ITokenizerDetails"/> too.</summary>
    public static ITokenizer Create()
    {
        using var document = JsonDocument.Parse(TokenizerJson());
        var parts = Files.TokenizerJson.Read(new JsonField("bytes", "", document.RootElement));
        return new PipelineTokenizer(parts with { Roles = new TokenRoles(ByteLevelFiles.Specials[0], ByteLevelFiles.Specials[1], null, ByteLevelFiles.Specials[2]) });
    }

    /// <summary>Writes tokenizer.json and tokenizer_config.json into <paramref name="folder"/>; both appear by rename.</summary>
    public static void Save(string folder) => ByteLevelFiles.Save(folder, Written);

    /// <summary>The text of tokenizer.json.</summary>
    public static string TokenizerJson() => Written.TokenizerJson();
}
