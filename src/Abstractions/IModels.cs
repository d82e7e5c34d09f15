// Models that options name, for readers that make their rows with a model of the manifest. Such rows are made once, by a job of their
// own, and kept.

using System.Text.Json.Nodes;

namespace PeftAlign.Abstractions;

/// <summary>An option that names a model of the manifest; the host opens it through <see cref="IModels"/>.</summary>
/// <param name="Definition">The model, resolved: its weights and chat template.</param>
public sealed record ModelReference(JsonObject Definition);

/// <summary>Opens models that options name; offered to a plugin's instance through GetService.</summary>
public interface IModels
{
    /// <summary>The model, loaded at the first request; equal definitions give the same model.</summary>
    /// <param name="model">From the plugin's options.</param>
    ILanguageModel Open(ModelReference model);
}

/// <summary>A language model that answers requests.</summary>
public interface ILanguageModel
{
    /// <summary>Its name for people: its folder's name, or the name of the policy in the run.</summary>
    string Name => "model";

    /// <summary>Answers in the order of the requests. Random numbers are keyed by a request's seed and its number among all requests of the
    /// job to this model. Answers are kept as they come, so a job that was stopped asks only for those that are missing.</summary>
    /// <param name="requests">Log-likelihoods and texts to generate, but no questions to judges.</param>
    /// <exception cref="UserErrorException">A request cannot be put to this model.</exception>
    IReadOnlyList<EvalResponse> Answer(IReadOnlyList<EvalRequest> requests);
}
