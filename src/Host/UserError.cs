// What the user can mend, in the host's own three parts. The command line prints it, as it does every UserErrorException, as one
// line without a stack trace, and ends with exit code 2.

using PeftAlign.Abstractions;

namespace PeftAlign.Host;

/// <summary>A user's mistake: the value that was given, the limit it breaks, and what to do next.</summary>
internal sealed class UserError(string value, string limit, string nextAction, Exception? inner = null)
    : UserErrorException($"{value}: {limit}; {nextAction}", inner);
