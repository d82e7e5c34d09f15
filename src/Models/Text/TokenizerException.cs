// The one exception of this folder: a tokenizer's file, or what was asked of it, is wrong. The message is for the user.
using PeftAlign.Abstractions;

namespace PeftAlign.Models.Text;

/// <summary>A tokenizer file cannot be used, or a request does not fit it. The message names the file, the field, the value
/// and the next action; it is to be shown without a stack trace.</summary>
public sealed class TokenizerException : UserErrorException
{
    /// <summary>Makes the exception with its whole message.</summary>
    public TokenizerException(string message, Exception? inner = null) : base(message, inner) { }
}
