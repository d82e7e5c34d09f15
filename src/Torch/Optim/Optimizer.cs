// What all optimisers share: groups of parameters, gradients, state. An optimiser's tensors belong to no dispose scope.

using PeftAlign.Torch.Modules;

namespace PeftAlign.Torch;

public static partial class torch
{
    /// <summary>Optimisers and learning-rate schedules.</summary>
    public static partial class optim
    {
        /// <summary>Parameters that share their options.</summary>
        public abstract class ParamGroup
        {
            /// <summary>Parameters with a learning rate.</summary>
            /// <exception cref="ArgumentOutOfRangeException">The rate is negative.</exception>
            protected ParamGroup(IEnumerable<Parameter> parameters, double learningRate)
            {
                ArgumentNullException.ThrowIfNull(parameters);
                if (!(learningRate >= 0)) throw new ArgumentOutOfRangeException(nameof(learningRate), learningRate, "the learning rate must be at least 0");
                Parameters = [.. parameters];
                LearningRate = InitialLearningRate = learningRate;
            }

            /// <summary>The parameters, in the order given.</summary>
            public IReadOnlyList<Parameter> Parameters { get; }

            /// <summary>The rate of the next step; schedules change it.</summary>
            public double LearningRate { get; set; }

            /// <summary>The rate at construction; schedules start from it.</summary>
            public double InitialLearningRate { get; set; }

            /// <summary>The options by PyTorch's names, numbers and flags (0 or 1) alike.</summary>
            internal abstract Dictionary<string, double> Options { get; set; }
        }

        /// <summary>An optimiser's state: options of each group, and tensors of each parameter by its place in all groups.</summary>
        public sealed class OptimizerStateDict
        {
            /// <summary>Each group's options by PyTorch's names; flags are 0 or 1.</summary>
            public List<Dictionary<string, double>> ParamGroups { get; init; } = [];

            /// <summary>By parameter and name ("exp_avg"); the tensors themselves. A parameter that never had a gradient is not there.</summary>
            public Dictionary<int, Dictionary<string, Tensor>> State { get; init; } = [];
        }

        /// <summary>The base of optimisers.</summary>
        public abstract class Optimizer : IDisposable
        {
            private readonly List<ParamGroup> groups = [];
            private readonly Dictionary<Parameter, ParameterState> states = new(ReferenceEqualityComparer.Instance);

            /// <summary>Groups of parameters, each with options of its own.</summary>
            public IEnumerable<ParamGroup> ParamGroups => groups;

            /// <summary>All parameters of all groups.</summary>
            public IEnumerable<Parameter> parameters() => groups.SelectMany(g => g.Parameters);

            /// <summary>Adds a group.</summary>
            /// <exception cref="ArgumentException">It is empty, of another optimiser, or holds a parameter that is there already.</exception>
            public void add_param_group(ParamGroup group)
            {
                ArgumentNullException.ThrowIfNull(group);
                if (!Accepts(group)) throw new ArgumentException($"{GetType().Name} cannot use a {group.GetType().DeclaringType?.Name}.{group.GetType().Name}");
                if (group.Parameters.Count == 0) throw new ArgumentException("the optimiser got an empty list of parameters");
                var seen = new HashSet<Parameter>(parameters(), ReferenceEqualityComparer.Instance);
                if (!group.Parameters.All(seen.Add)) throw new ArgumentException("a parameter is in more than one place of the optimiser's groups");
                groups.Add(group);
            }

            /// <summary>Drops the gradients, or fills them with zeros.</summary>
            public void zero_grad(bool set_to_none = true)
            {
                foreach (var parameter in parameters()) Gradients.Clear(parameter, set_to_none);
            }

            /// <summary>One step of every parameter that has a gradient.</summary>
            /// <param name="closure">Computes the loss and its gradients first, if given.</param>
            /// <returns>The closure's loss.</returns>
            public Tensor? step(Func<Tensor>? closure = null)
            {
                Tensor? loss = null;
                if (closure != null)
                    using (enable_grad()) loss = closure();
                using var off = no_grad();
                foreach (var group in groups)
                    foreach (var parameter in group.Parameters)
                    {
                        using var scope = NewDisposeScope();
                        if (parameter.grad is not { } gradient) continue;
                        if (!states.TryGetValue(parameter, out var state)) states[parameter] = state = new ParameterState();
                        Step(group, parameter, gradient, state);
                    }
                return loss;
            }

            /// <summary>The state; its tensors are this optimiser's own, not copies.</summary>
            public OptimizerStateDict state_dict()
            {
                var dict = new OptimizerStateDict { ParamGroups = groups.ConvertAll(g => g.Options) };
                foreach (var (k, parameter) in parameters().Index())
                    if (states.TryGetValue(parameter, out var state)) dict.State[k] = state.Tensors;
                return dict;
            }

            /// <summary>Copies a state of an optimiser with the same groups; tensors keep their dtype and move to the parameters' device.</summary>
            /// <exception cref="ArgumentException">Groups or shapes differ; nothing was changed.</exception>
            public void load_state_dict(OptimizerStateDict state_dict)
            {
                ArgumentNullException.ThrowIfNull(state_dict);
                if (state_dict.ParamGroups.Count != groups.Count) throw new ArgumentException($"the state has {state_dict.ParamGroups.Count} groups, the optimiser {groups.Count}");
                var all = parameters().ToList();
                foreach (var (group, options) in groups.Zip(state_dict.ParamGroups))
                    if (!group.Options.Keys.ToHashSet().SetEquals(options.Keys)) throw new ArgumentException($"a group of the state has the options {string.Join(", ", options.Keys)}; {GetType().Name} has {string.Join(", ", group.Options.Keys)}");
                foreach (var (k, tensors) in state_dict.State) Check(all, k, tensors);
                foreach (var (group, options) in groups.Zip(state_dict.ParamGroups)) group.Options = options;
                foreach (var (k, parameter) in all.Index())
                {
                    var loaded = state_dict.State.TryGetValue(k, out var tensors) ? ParameterState.Copy(tensors, parameter.device) : null;
                    if (states.Remove(parameter, out var before)) before.Dispose();
                    if (loaded != null) states[parameter] = loaded;
                }
            }

            private static void Check(List<Parameter> all, int place, Dictionary<string, Tensor> tensors)
            {
                if (place < 0 || place >= all.Count) throw new ArgumentException($"the state has a parameter {place}, the optimiser only {all.Count}");
                foreach (var (name, tensor) in tensors)
                    if (tensor.ndim > 0 && !tensor.shape.SequenceEqual(all[place].shape))
                        throw new ArgumentException($"{name} of parameter {place} is {tensor}, the parameter is {all[place]}");
            }

            /// <summary>Frees the state; the parameters stay.</summary>
            public void Dispose()
            {
                foreach (var state in states.Values) state.Dispose();
                states.Clear();
                GC.SuppressFinalize(this);
            }

            private protected abstract bool Accepts(ParamGroup group);

            private protected abstract void Step(ParamGroup group, Parameter parameter, Tensor gradient, ParameterState state);
        }

        /// <summary>The tensors that an optimiser keeps for one parameter.</summary>
        internal sealed class ParameterState : IDisposable
        {
            internal Dictionary<string, Tensor> Tensors { get; } = [];

            internal bool Has(string name) => Tensors.ContainsKey(name);

            /// <summary>The tensor of this name, made at first use.</summary>
            internal Tensor Get(string name, Func<Tensor> make) =>
                Tensors.TryGetValue(name, out var tensor) ? tensor : Tensors[name] = make().DetachFromDisposeScope();

            /// <summary>Counts a step; the count is a float32 tensor, as PyTorch keeps it.</summary>
            internal double CountStep()
            {
                var step = Get("step", () => zeros([], ScalarType.Float32));
                return step.add_(1).item<double>();
            }

            internal static ParameterState Copy(Dictionary<string, Tensor> tensors, Device device)
            {
                var copy = new ParameterState();
                foreach (var (name, tensor) in tensors)
                    copy.Tensors[name] = (name == "step" ? tensor.to(CPU, copy: true) : tensor.to(device, copy: true)).DetachFromDisposeScope();
                return copy;
            }

            public void Dispose()
            {
                foreach (var tensor in Tensors.Values) tensor.Dispose();
            }
        }
    }
}
