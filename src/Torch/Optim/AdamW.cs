// AdamW: Adam with decoupled weight decay, in PyTorch's order of operations, so that parameters agree with it to the last bit.
// Source: Loshchilov and Hutter 2019; amsgrad: Reddi et al. 2018.

using PeftAlign.Torch.Extras;
using PeftAlign.Torch.Modules;

namespace PeftAlign.Torch.Modules
{
    /// <summary>Adam with decoupled weight decay.</summary>
    public sealed class AdamW : torch.optim.Optimizer
    {
        internal AdamW(ParamGroup group) => add_param_group(group);

        /// <summary>Parameters with AdamW's options.</summary>
        public sealed class ParamGroup(IEnumerable<Parameter> parameters, double lr = 1e-3, double beta1 = 0.9, double beta2 = 0.999, double eps = 1e-8, double weight_decay = 0, bool amsgrad = false, bool maximize = false)
            : torch.optim.ParamGroup(parameters, lr)
        {
            /// <summary>Share of the past in the average of gradients: at least 0, below 1.</summary>
            public double Beta1 { get; set; } = InUnit(beta1, nameof(beta1));

            /// <summary>Share of the past in the average of squared gradients: at least 0, below 1.</summary>
            public double Beta2 { get; set; } = InUnit(beta2, nameof(beta2));

            /// <summary>Added to the root of the corrected average of squares, which the step is divided by.</summary>
            public double Eps { get; set; } = NotNegative(eps, nameof(eps));

            /// <summary>Before each step parameters are multiplied by 1 - learning rate * this; not part of the gradient.</summary>
            public double WeightDecay { get; set; } = NotNegative(weight_decay, nameof(weight_decay));

            /// <summary>Whether the largest average of squares so far takes the place of the average.</summary>
            public bool AmsGrad { get; set; } = amsgrad;

            /// <summary>Whether steps go up the gradient.</summary>
            public bool Maximize { get; set; } = maximize;

            internal override Dictionary<string, double> Options
            {
                get => new()
                {
                    ["lr"] = LearningRate,
                    ["initial_lr"] = InitialLearningRate,
                    ["beta1"] = Beta1,
                    ["beta2"] = Beta2,
                    ["eps"] = Eps,
                    ["weight_decay"] = WeightDecay,
                    ["amsgrad"] = AmsGrad ? 1 : 0,
                    ["maximize"] = Maximize ? 1 : 0,
                };
                set
                {
                    (LearningRate, InitialLearningRate, Beta1, Beta2) = (value["lr"], value["initial_lr"], value["beta1"], value["beta2"]);
                    (Eps, WeightDecay, AmsGrad, Maximize) = (value["eps"], value["weight_decay"], value["amsgrad"] != 0, value["maximize"] != 0);
                }
            }

            private static double InUnit(double value, string name) =>
                value is >= 0 and < 1 ? value : throw new ArgumentOutOfRangeException(name, value, "must be at least 0 and below 1");

            private static double NotNegative(double value, string name) =>
                value >= 0 ? value : throw new ArgumentOutOfRangeException(name, value, "must be at least 0");
        }

        private protected override bool Accepts(torch.optim.ParamGroup group) => group is ParamGroup;

        private protected override void Step(torch.optim.ParamGroup group, Parameter parameter, Tensor gradient, torch.optim.ParameterState state)
        {
            var g = (ParamGroup)group;
            if (g.Maximize) gradient = -gradient;
            var step = state.CountStep();
            var average = state.Get("exp_avg", () => torch.zeros_like(parameter));
            var square = state.Get("exp_avg_sq", () => torch.zeros_like(parameter));
            if (g.WeightDecay != 0) parameter.mul_(1 - g.LearningRate * g.WeightDecay);
            var largest = g.AmsGrad ? state.Get("max_exp_avg_sq", () => torch.zeros_like(parameter)) : null;
            UpdateRules.Adam(parameter, gradient, average, square, step, g.LearningRate, g.Beta1, g.Beta2, g.Eps, largest);
        }
    }
}

namespace PeftAlign.Torch
{
    public static partial class torch
    {
        public static partial class optim
        {
            /// <summary>AdamW over one group. Unlike PyTorch's, the default weight decay is 0, as in TorchSharp.</summary>
            public static AdamW AdamW(IEnumerable<Parameter> parameters, double lr = 1e-3, double beta1 = 0.9, double beta2 = 0.999, double eps = 1e-8, double weight_decay = 0, bool amsgrad = false, bool maximize = false) =>
                new(new AdamW.ParamGroup(parameters, lr, beta1, beta2, eps, weight_decay, amsgrad, maximize));
        }
    }
}
