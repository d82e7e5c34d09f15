// What a refusal of the hub means to its user, and what to do about it.

using System.Net;

namespace PeftAlign.Host.Hub;

internal static class HubErrors
{
    /// <summary>The user's mistake for 401, 403 and 404; a failure of the work for the rest.</summary>
    internal static Exception Of(HttpResponseMessage answer, HubName name, string what, HubSettings settings, int attempts)
    {
        var said = Header(answer, "X-Error-Message") is { } message ? $" (\"{message}\")" : "";
        var code = Header(answer, "X-Error-Code");
        var token = settings.Token is null ? "no token was sent" : "the token that was sent does not open it";
        return (answer.StatusCode, code) switch
        {
            (_, "GatedRepo") => new UserError(what, $"its owner gives it only to those who ask, and {token}{said}", $"accept its conditions at {settings.Endpoint}/{name.Id}, then set HF_TOKEN to a token of yours"),
            (HttpStatusCode.NotFound, "RevisionNotFound") => new UserError(what, $"the model has no such branch, tag or commit{said}", "leave --revision out for the main branch"),
            (HttpStatusCode.NotFound, "EntryNotFound") => new UserError(what, $"the model has no such file at this revision{said}", "pull again; the revision may have been rewritten"),
            (HttpStatusCode.Unauthorized, _) => new UserError(what, $"does not exist at {settings.Endpoint}, or is private and {token}{said}", "check the name (OWNER/NAME), and set HF_TOKEN if it is private"),
            (HttpStatusCode.Forbidden, _) => new UserError(what, $"{settings.Endpoint} refuses it, and {token}{said}", "set HF_TOKEN to a token that may read it"),
            (HttpStatusCode.NotFound, _) => new UserError(what, $"does not exist at {settings.Endpoint}{said}", "check the name (OWNER/NAME) and --revision"),
            (HttpStatusCode.TooManyRequests, _) => new IOException($"{what}: {settings.Endpoint} allows no more requests now (429, asked {attempts} times){said}; pull again later, what has come stays{(settings.Token is null ? "; a token in HF_TOKEN raises the limit" : "")}"),
            _ => new IOException($"{what}: {settings.Endpoint} answers {(int)answer.StatusCode} {answer.ReasonPhrase} (asked {attempts} times){said}; pull again later, what has come stays"),
        };
    }

    internal static IOException Unreachable(Exception cause, string what, HubSettings settings, int attempts) =>
        new($"{what}: {settings.Endpoint} cannot be reached ({cause.Message}, tried {attempts} times); check the network and HF_ENDPOINT, then pull again: what has come stays", cause);

    private static string? Header(HttpResponseMessage answer, string name) => answer.Headers.TryGetValues(name, out var values) ? values.FirstOrDefault() : null;
}
