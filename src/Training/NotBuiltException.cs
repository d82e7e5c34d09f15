// For what the experiment language can say and this version of the trainer cannot do; the user's options are not at fault.

using PeftAlign.Abstractions;

namespace PeftAlign.Training;

/// <summary>An option or a value that is not built yet.</summary>
/// <param name="message">Which, and what to use in its place.</param>
public sealed class NotBuiltException(string message) : UserErrorException(message);
