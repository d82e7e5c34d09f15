// Learning-rate schedules, each a function of the number of steps: rate = initial rate * factor(steps). PyTorch's
// chained forms agree with these closed ones; with closed forms a schedule can start anywhere.

namespace PeftAlign.Torch;

public static partial class torch
{
    public static partial class optim
    {
        /// <summary>Learning-rate schedules.</summary>
        public static class lr_scheduler
        {
            /// <summary>The base of schedules: sets every group's rate at construction and after each step.</summary>
            public abstract class LRScheduler
            {
                private protected LRScheduler(Optimizer optimizer, int last_epoch)
                {
                    ArgumentNullException.ThrowIfNull(optimizer);
                    ArgumentOutOfRangeException.ThrowIfLessThan(last_epoch, -1);
                    Groups = [.. optimizer.ParamGroups];
                    this.last_epoch = last_epoch + 1;
                }

                /// <summary>Steps so far.</summary>
                public int last_epoch { get; private set; }

                internal ParamGroup[] Groups { get; }

                /// <summary>One step on.</summary>
                public void step() => step(last_epoch + 1);

                /// <summary>To a given number of steps.</summary>
                public void step(int epoch)
                {
                    ArgumentOutOfRangeException.ThrowIfNegative(epoch);
                    last_epoch = epoch;
                    Apply();
                }

                /// <summary>The rates that are set, one for each group.</summary>
                public IEnumerable<double> get_last_lr() => Groups.Select(g => g.LearningRate);

                private protected virtual void Apply()
                {
                    for (var k = 0; k < Groups.Length; k++) Groups[k].LearningRate = Rate(Groups[k].InitialLearningRate, k);
                }

                /// <summary>The rate of group <paramref name="k"/> after <see cref="last_epoch"/> steps.</summary>
                private protected abstract double Rate(double initial, int k);
            }

            /// <summary>The initial rate times a function of the steps.</summary>
            public static LRScheduler LambdaLR(Optimizer optimizer, Func<int, double> lr_lambda, int last_epoch = -1) =>
                new Lambda(optimizer, [.. optimizer.ParamGroups.Select(_ => lr_lambda)], last_epoch);

            /// <summary>The initial rate times a function of the steps, one for each group.</summary>
            public static LRScheduler LambdaLR(Optimizer optimizer, IEnumerable<Func<int, double>> lr_lambdas, int last_epoch = -1) =>
                new Lambda(optimizer, [.. lr_lambdas], last_epoch);

            /// <summary>Half a cosine from the initial rate to <paramref name="eta_min"/> within <paramref name="T_max"/> steps, and back. Source: Loshchilov and Hutter 2017.</summary>
            public static LRScheduler CosineAnnealingLR(Optimizer optimizer, double T_max, double eta_min = 0, int last_epoch = -1) => new Cosine(optimizer, T_max, eta_min, last_epoch);

            /// <summary>A factor that goes straight from start to end within <paramref name="total_iters"/> steps, and stays.</summary>
            public static LRScheduler LinearLR(Optimizer optimizer, double start_factor = 1.0 / 3, double end_factor = 1.0, int total_iters = 5, int last_epoch = -1) =>
                new Linear(optimizer, start_factor, end_factor, total_iters, last_epoch);

            /// <summary>One schedule after the other; schedule k + 1 starts at its step 0 when milestone k is reached.</summary>
            public static LRScheduler SequentialLR(Optimizer optimizer, IEnumerable<LRScheduler> schedulers, IEnumerable<int> milestones, int last_epoch = -1) =>
                new Sequence(optimizer, [.. schedulers], [.. milestones], last_epoch);

            private sealed class Lambda : LRScheduler
            {
                private readonly Func<int, double>[] factors;

                internal Lambda(Optimizer optimizer, Func<int, double>[] factors, int last_epoch) : base(optimizer, last_epoch)
                {
                    if (factors.Length != Groups.Length) throw new ArgumentException($"LambdaLR got {factors.Length} functions for {Groups.Length} groups");
                    this.factors = factors;
                    Apply();
                }

                private protected override double Rate(double initial, int k) => initial * factors[k](last_epoch);
            }

            private sealed class Cosine : LRScheduler
            {
                private readonly double span, floor;

                internal Cosine(Optimizer optimizer, double span, double floor, int last_epoch) : base(optimizer, last_epoch)
                {
                    if (!(span > 0)) throw new ArgumentOutOfRangeException(nameof(span), span, "T_max must be above 0");
                    (this.span, this.floor) = (span, floor);
                    Apply();
                }

                private protected override double Rate(double initial, int k) => floor + (initial - floor) * (1 + Math.Cos(Math.PI * last_epoch / span)) / 2;
            }

            private sealed class Linear : LRScheduler
            {
                private readonly double start, end;
                private readonly int steps;

                internal Linear(Optimizer optimizer, double start, double end, int steps, int last_epoch) : base(optimizer, last_epoch)
                {
                    if (start is not (> 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(start), start, "start_factor must be above 0 and at most 1");
                    if (end is not (>= 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(end), end, "end_factor must lie between 0 and 1");
                    ArgumentOutOfRangeException.ThrowIfLessThan(steps, 1);
                    (this.start, this.end, this.steps) = (start, end, steps);
                    Apply();
                }

                private protected override double Rate(double initial, int k) => initial * (start + (end - start) * Math.Min(steps, last_epoch) / steps);
            }

            private sealed class Sequence : LRScheduler
            {
                private readonly LRScheduler[] parts;
                private readonly int[] milestones;

                internal Sequence(Optimizer optimizer, LRScheduler[] parts, int[] milestones, int last_epoch) : base(optimizer, last_epoch)
                {
                    if (parts.Length == 0 || milestones.Length != parts.Length - 1) throw new ArgumentException($"{parts.Length} schedules need {Math.Max(0, parts.Length - 1)} milestones, not {milestones.Length}");
                    if (!milestones.Zip(milestones.Skip(1)).All(pair => pair.First < pair.Second)) throw new ArgumentException("milestones must rise");
                    if (!parts.All(p => p.Groups.SequenceEqual(Groups))) throw new ArgumentException("all schedules must belong to the same optimiser");
                    (this.parts, this.milestones) = (parts, milestones);
                    Apply();
                }

                private protected override void Apply()
                {
                    var k = milestones.Count(m => m <= last_epoch);
                    parts[k].step(last_epoch - (k == 0 ? 0 : milestones[k - 1]));
                }

                private protected override double Rate(double initial, int k) => Groups[k].LearningRate;
            }
        }
    }
}
