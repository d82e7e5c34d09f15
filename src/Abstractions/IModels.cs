// Models that options name: what a reader asks when it makes rows with a model of the manifest. The rows are then made by a job of
// their own, once, and kept.

using System.Text.Json.Nodes;

namespace PeftAlign.Abstractions;

/// <summary>An option that names a model of the manifest; the host opens it through <see cref="IModels"/>.</summary>
/// <param name="Definition">The model, resolved: its weights and chat template.</param>
public sealed record ModelReference(JsonObject Definition);

/// <summary>Opens models that options name; offered to a plugin's instance through GetService.</summary>
public interface IModels
{
    /// <summary>The model, loaded when it is first asked; the same model for the same definition.</summary>
    /// <param name="model">From the plugin's options.</param>
    ILanguageModel Open(ModelReference model);
}

/// <summary>A language model that answers requests.</summary>
public interface ILanguageModel
{
    /// <summary>How people call it: its folder's name, or what the run calls the policy.</summary>
    string Name => "model";

    /// <summary>Answers in the order of the requests. Random numbers are keyed by a request's seed and its number among all that the
    /// job asks of this model; answers are kept as they come, so a job that was stopped asks only what is missing.</summary>
    /// <param name="requests">Log-likelihoods and texts to generate; no questions to judges.</param>
    /// <exception cref="UserErrorException">A request cannot be put to this model.</exception>
    IReadOnlyList<EvalResponse> Answer(IReadOnlyList<EvalRequest> requests);
}
