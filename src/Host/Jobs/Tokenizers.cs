// The tokenizer of a model folder.

using PeftAlign.Abstractions;
using PeftAlign.Models.Text;

namespace PeftAlign.Host.Jobs;

internal static class Tokenizers
{
    internal static ITokenizer Load(string folder)
    {
        var file = Path.Combine(folder, "tokenizer.json");
        return File.Exists(file) && File.ReadAllText(file) == ByteTokenizer.TokenizerJson()
            ? ByteTokenizer.Create()
            : throw new UserErrorException($"{folder}: only the bytes tokenizer is built yet; give tokenised rows (prompt_ids, completion_ids).");
    }
}
