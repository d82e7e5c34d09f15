// nn.init: first values of parameters, in place and outside the graph; from libtorch's generator, so a seed gives PyTorch's values.
// Sources: Glorot and Bengio 2010 (xavier), He et al. 2015 (kaiming).

namespace PeftAlign.Torch;

public static partial class torch
{
    public static partial class nn
    {
        /// <summary>Initialisation in place.</summary>
        public static class init
        {
            /// <summary>Which side of a weight keeps its variance.</summary>
            public enum FanInOut
            {
                /// <summary>The forward pass.</summary>
                FanIn,

                /// <summary>The backward pass.</summary>
                FanOut,
            }

            /// <summary>The function after the layer.</summary>
            public enum NonlinearityType
            {
                /// <summary>None; gain 1.</summary>
                Linear = 0,

                /// <summary>1 / (1 + e^-x); gain 1.</summary>
                Sigmoid = 7,

                /// <summary>Hyperbolic tangent; gain 5 / 3.</summary>
                Tanh = 8,

                /// <summary>max(0, x); gain sqrt(2).</summary>
                ReLU = 9,

                /// <summary>x, below 0 a x; gain sqrt(2 / (1 + a^2)).</summary>
                LeakyReLU = 10,
            }

            /// <summary>Fills with uniform numbers in [low, high); returns the tensor.</summary>
            public static Tensor uniform_(Tensor tensor, double low = 0, double high = 1, Generator? generator = null) => Outside(tensor, t => t.uniform_(low, high, generator));

            /// <summary>Fills with normal numbers of this mean and standard deviation; returns the tensor.</summary>
            public static Tensor normal_(Tensor tensor, double mean = 0, double std = 1, Generator? generator = null) => Outside(tensor, t => t.normal_(mean, std, generator));

            /// <summary>Fills with one value; returns the tensor.</summary>
            public static Tensor constant_(Tensor tensor, Scalar val) => Outside(tensor, t => t.fill_(val));

            /// <summary>Fills with ones; returns the tensor.</summary>
            public static Tensor ones_(Tensor tensor) => constant_(tensor, 1);

            /// <summary>Fills with zeros; returns the tensor.</summary>
            public static Tensor zeros_(Tensor tensor) => Outside(tensor, t => t.zero_());

            /// <summary>Uniform in +-gain sqrt(6 / (fan in + fan out)).</summary>
            public static Tensor xavier_uniform_(Tensor tensor, double gain = 1, Generator? generator = null)
            {
                var (fanIn, fanOut) = Fans(tensor);
                var bound = gain * Math.Sqrt(2.0 / (fanIn + fanOut)) * Math.Sqrt(3);
                return uniform_(tensor, -bound, bound, generator);
            }

            /// <summary>Normal with deviation gain sqrt(2 / (fan in + fan out)).</summary>
            public static Tensor xavier_normal_(Tensor tensor, double gain = 1, Generator? generator = null)
            {
                var (fanIn, fanOut) = Fans(tensor);
                return normal_(tensor, 0, gain * Math.Sqrt(2.0 / (fanIn + fanOut)), generator);
            }

            /// <summary>Uniform in +-gain sqrt(3 / fan); <paramref name="a"/> is the slope of a leaky ReLU.</summary>
            public static Tensor kaiming_uniform_(Tensor tensor, double a = 0, FanInOut mode = FanInOut.FanIn, NonlinearityType nonlinearity = NonlinearityType.LeakyReLU, Generator? generator = null)
            {
                var bound = Math.Sqrt(3) * (calculate_gain(nonlinearity, a) / Math.Sqrt(Fan(tensor, mode)));
                return uniform_(tensor, -bound, bound, generator);
            }

            /// <summary>Normal with deviation gain / sqrt(fan).</summary>
            public static Tensor kaiming_normal_(Tensor tensor, double a = 0, FanInOut mode = FanInOut.FanIn, NonlinearityType nonlinearity = NonlinearityType.LeakyReLU, Generator? generator = null) =>
                normal_(tensor, 0, calculate_gain(nonlinearity, a) / Math.Sqrt(Fan(tensor, mode)), generator);

            /// <summary>By how much a function shrinks the deviation, as PyTorch has it.</summary>
            public static double calculate_gain(NonlinearityType nonlinearity, double param = 0) => nonlinearity switch
            {
                NonlinearityType.Tanh => 5.0 / 3,
                NonlinearityType.ReLU => Math.Sqrt(2),
                NonlinearityType.LeakyReLU => Math.Sqrt(2 / (1 + param * param)),
                _ => 1,
            };

            private static long Fan(Tensor tensor, FanInOut mode) => mode == FanInOut.FanIn ? Fans(tensor).In : Fans(tensor).Out;

            private static (long In, long Out) Fans(Tensor tensor)
            {
                var shape = tensor.shape;
                if (shape.Length < 2) throw new ArgumentException($"a tensor of shape [{string.Join(", ", shape)}] has no fan in and fan out; it needs at least 2 dimensions");
                var field = shape.Skip(2).Aggregate(1L, (a, b) => a * b);
                return (shape[1] * field, shape[0] * field);
            }

            private static Tensor Outside(Tensor tensor, Action<Tensor> fill)
            {
                ArgumentNullException.ThrowIfNull(tensor);
                using (no_grad()) fill(tensor);
                return tensor;
            }
        }
    }
}
