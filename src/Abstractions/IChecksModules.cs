// An adapter that can say of a model without weights whether its options fit it. A second, optional interface of an IPeftAdapter.

namespace PeftAlign.Abstractions;

/// <summary>Optional for an adapter: checks its options against a model while a run is planned, so that a misspelt module ends no job after others.</summary>
public interface IChecksModules
{
    /// <summary>Refuses what <see cref="IPeftAdapter.Attach"/> would refuse of the model's modules. Nothing is made.</summary>
    /// <param name="model">The modules as config.json describes them, without tensors: each <see cref="ModuleOutline.Tensor"/> is null.</param>
    /// <exception cref="UserErrorException">The options name modules that the model does not have, or that cannot be changed as they ask.</exception>
    void Check(ModelOutline model);
}
