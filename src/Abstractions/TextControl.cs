// Controls that are texts: what stands around a prompt says which kind of answer is asked for.

namespace PeftAlign.Abstractions;

/// <summary>A control that is a text around the prompt.</summary>
/// <param name="Before">Stands before the prompt; may be empty.</param>
/// <param name="After">Stands behind it; may be empty.</param>
public sealed record TextControl(string Before, string After)
{
    /// <summary>The prompt under the control.</summary>
    /// <param name="prompt">A plain text.</param>
    public string Around(string prompt) => Before + prompt + After;
}

/// <summary>Optional for a method: the policies that it trains are asked under controls that are texts. They lie beside what is trained, as controls.json.</summary>
public interface IHasTextControls
{
    /// <summary>The controls by name.</summary>
    IReadOnlyDictionary<string, TextControl> TextControls { get; }
}
