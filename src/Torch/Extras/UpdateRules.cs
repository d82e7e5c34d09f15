// How one update changes values, whatever holds them: the optimisers of torch.optim apply these to each parameter, the trainer
// to one flat buffer. PyTorch's order of operations, so that values agree with it to the last places.

namespace PeftAlign.Torch.Extras;

/// <summary>Update rules, in place; call them without gradients being recorded.</summary>
public static class UpdateRules
{
    /// <summary>Adam's step (decay is the caller's): m and v follow the gradient, then values -= lr / (1 - b1^t) m / (sqrt(v) / sqrt(1 - b2^t) + eps).</summary>
    /// <param name="values">Changed in place.</param>
    /// <param name="gradient">Of the same shape.</param>
    /// <param name="average">m; changed in place.</param>
    /// <param name="square">v; changed in place.</param>
    /// <param name="step">t, from 1.</param>
    /// <param name="learningRate">lr</param>
    /// <param name="beta1">b1</param>
    /// <param name="beta2">b2</param>
    /// <param name="epsilon">eps</param>
    /// <param name="largest">AMSGrad's largest v so far, changed in place; null for Adam.</param>
    public static void Adam(Tensor values, Tensor gradient, Tensor average, Tensor square, double step, double learningRate, double beta1, double beta2, double epsilon, Tensor? largest = null)
    {
        average.lerp_(gradient, 1 - beta1);
        square.mul_(beta2).addcmul_(gradient, gradient, 1 - beta2);
        var used = largest is null ? square : largest.copy_(largest.maximum(square));
        var denominator = used.sqrt().div_(Math.Sqrt(1 - Math.Pow(beta2, step))).add_(epsilon);
        values.addcdiv_(average, denominator, -learningRate / (1 - Math.Pow(beta1, step)));
    }

    /// <summary>RMSprop's step (Hinton 2012): v follows the squared gradient, then values -= lr g / (sqrt(v) + eps).</summary>
    /// <param name="values">Changed in place.</param>
    /// <param name="gradient">Of the same shape.</param>
    /// <param name="square">v; changed in place.</param>
    /// <param name="learningRate">lr</param>
    /// <param name="alpha">How much of v stays.</param>
    /// <param name="epsilon">eps</param>
    public static void RmsProp(Tensor values, Tensor gradient, Tensor square, double learningRate, double alpha = 0.99, double epsilon = 1e-8)
    {
        square.mul_(alpha).addcmul_(gradient, gradient, 1 - alpha);
        values.addcdiv_(gradient, square.sqrt().add_(epsilon), -learningRate);
    }
}
