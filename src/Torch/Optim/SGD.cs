// Stochastic gradient descent with momentum, in PyTorch's order of operations.
// Source: Sutskever et al. 2013, with PyTorch's convention that the learning rate multiplies the velocity.

using PeftAlign.Torch.Modules;

namespace PeftAlign.Torch.Modules
{
    /// <summary>Gradient descent, with momentum if asked for.</summary>
    public sealed class SGD : torch.optim.Optimizer
    {
        internal SGD(ParamGroup group) => add_param_group(group);

        /// <summary>Parameters with SGD's options.</summary>
        public sealed class ParamGroup : torch.optim.ParamGroup
        {
            /// <summary>Parameters with these options.</summary>
            /// <exception cref="ArgumentException">Rate, momentum or decay is negative, or nesterov goes without momentum or with dampening.</exception>
            public ParamGroup(IEnumerable<Parameter> parameters, double learningRate, double momentum = 0, double dampening = 0, double weight_decay = 0, bool nesterov = false, bool maximize = false)
                : base(parameters, learningRate)
            {
                if (!(momentum >= 0)) throw new ArgumentOutOfRangeException(nameof(momentum), momentum, "must be at least 0");
                if (!(weight_decay >= 0)) throw new ArgumentOutOfRangeException(nameof(weight_decay), weight_decay, "must be at least 0");
                if (nesterov && (momentum <= 0 || dampening != 0)) throw new ArgumentException("nesterov needs momentum above 0 and dampening 0");
                (Momentum, Dampening, WeightDecay, Nesterov, Maximize) = (momentum, dampening, weight_decay, nesterov, maximize);
            }

            /// <summary>Share of the velocity that stays: velocity = momentum * velocity + (1 - dampening) * gradient; 0 = steps along the gradient.</summary>
            public double Momentum { get; set; }

            /// <summary>Share of a new gradient that the velocity leaves out; the first one enters it whole.</summary>
            public double Dampening { get; set; }

            /// <summary>Times the parameter, added to the gradient.</summary>
            public double WeightDecay { get; set; }

            /// <summary>Whether a step is gradient + momentum * velocity in place of the velocity.</summary>
            public bool Nesterov { get; set; }

            /// <summary>Whether steps go up the gradient.</summary>
            public bool Maximize { get; set; }

            internal override Dictionary<string, double> Options
            {
                get => new()
                {
                    ["lr"] = LearningRate,
                    ["initial_lr"] = InitialLearningRate,
                    ["momentum"] = Momentum,
                    ["dampening"] = Dampening,
                    ["weight_decay"] = WeightDecay,
                    ["nesterov"] = Nesterov ? 1 : 0,
                    ["maximize"] = Maximize ? 1 : 0,
                };
                set
                {
                    (LearningRate, InitialLearningRate, Momentum, Dampening) = (value["lr"], value["initial_lr"], value["momentum"], value["dampening"]);
                    (WeightDecay, Nesterov, Maximize) = (value["weight_decay"], value["nesterov"] != 0, value["maximize"] != 0);
                }
            }
        }

        private protected override bool Accepts(torch.optim.ParamGroup group) => group is ParamGroup;

        private protected override void Step(torch.optim.ParamGroup group, Parameter parameter, Tensor gradient, torch.optim.ParameterState state)
        {
            var g = (ParamGroup)group;
            if (g.Maximize) gradient = -gradient;
            if (g.WeightDecay != 0) gradient = gradient.add(parameter, g.WeightDecay);
            if (g.Momentum != 0)
            {
                var first = !state.Has("momentum_buffer");
                var velocity = state.Get("momentum_buffer", () => gradient.detach().clone());
                if (!first) velocity.mul_(g.Momentum).add_(gradient, 1 - g.Dampening);
                gradient = g.Nesterov ? gradient.add(velocity, g.Momentum) : velocity;
            }
            parameter.add_(gradient, -g.LearningRate);
        }
    }
}

namespace PeftAlign.Torch
{
    public static partial class torch
    {
        public static partial class optim
        {
            /// <summary>SGD over one group.</summary>
            public static SGD SGD(IEnumerable<Parameter> parameters, double learningRate, double momentum = 0, double dampening = 0, double weight_decay = 0, bool nesterov = false, bool maximize = false) =>
                new(new SGD.ParamGroup(parameters, learningRate, momentum, dampening, weight_decay, nesterov, maximize));
        }
    }
}
