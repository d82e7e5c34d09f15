// Controls that are texts: the text around a prompt says which kind of answer is wanted.

namespace PeftAlign.Abstractions;

/// <summary>A control that is a text around the prompt.</summary>
/// <param name="Before">The text before the prompt; may be empty.</param>
/// <param name="After">The text after it; may be empty.</param>
public sealed record TextControl(string Before, string After)
{
    /// <summary>The prompt under the control.</summary>
    /// <param name="prompt">A plain text.</param>
    public string Around(string prompt) => Before + prompt + After;
}

/// <summary>Optional for a method: the policies that it trains are used under controls that are texts. They are written beside the trained weights, as controls.json.</summary>
public interface IHasTextControls
{
    /// <summary>The controls by name.</summary>
    IReadOnlyDictionary<string, TextControl> TextControls { get; }
}
