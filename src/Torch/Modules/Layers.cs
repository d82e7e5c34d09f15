// The common layers, initialised as PyTorch initialises them: the same seed gives the same weights.

namespace PeftAlign.Torch.Modules;

/// <summary>y = x W^T + b; weight (out, in), bias (out).</summary>
public sealed class Linear : torch.nn.Module<Tensor, Tensor>
{
    internal Linear(long inputSize, long outputSize, bool hasBias, torch.Device? device, torch.ScalarType? dtype) : base(nameof(Linear))
    {
        (in_features, out_features) = (inputSize, outputSize);
        weight = new Parameter(torch.empty([outputSize, inputSize], dtype, device));
        torch.nn.init.kaiming_uniform_(weight, Math.Sqrt(5));
        register_parameter("weight", weight);
        if (hasBias)
        {
            var bound = inputSize > 0 ? 1 / Math.Sqrt(inputSize) : 0;
            bias = new Parameter(torch.empty([outputSize], dtype, device));
            torch.nn.init.uniform_(bias, -bound, bound);
        }
        register_parameter("bias", bias);
    }

    /// <summary>Size of the input's last dimension.</summary>
    public long in_features { get; }

    /// <summary>Size of the result's last dimension.</summary>
    public long out_features { get; }

    /// <summary>(out_features, in_features)</summary>
    public Parameter weight { get; }

    /// <summary>(out_features), or null in a layer without bias.</summary>
    public Parameter? bias { get; }

    /// <summary>x W^T + b: (..., in_features) becomes (..., out_features).</summary>
    public override Tensor forward(Tensor input) => torch.nn.functional.linear(input, weight, bias);
}

/// <summary>Rows of a table by number; weight (num_embeddings, embedding_dims).</summary>
public sealed class Embedding : torch.nn.Module<Tensor, Tensor>
{
    private readonly long? padding;
    private readonly double? max_norm;
    private readonly double norm_type;
    private readonly bool scale_grad_by_freq;
    private readonly bool sparse;

    internal Embedding(long num_embeddings, long embedding_dims, long? padding_idx, double? max_norm, double norm_type, bool scale_grad_by_freq, bool sparse, torch.Device? device, torch.ScalarType? dtype) : base(nameof(Embedding))
    {
        if (padding_idx is { } p && (p < -num_embeddings || p >= num_embeddings))
            throw new ArgumentOutOfRangeException(nameof(padding_idx), p, $"the padding row must be one of the {num_embeddings} rows");
        padding = padding_idx < 0 ? padding_idx + num_embeddings : padding_idx;
        (this.max_norm, this.norm_type, this.scale_grad_by_freq, this.sparse) = (max_norm, norm_type, scale_grad_by_freq, sparse);
        weight = new Parameter(torch.empty([num_embeddings, embedding_dims], dtype, device));
        torch.nn.init.normal_(weight);
        if (padding is { } row)
        {
            using var off = torch.no_grad();
            using var zeros = weight.select(0, row);
            zeros.zero_();
        }
        register_parameter("weight", weight);
    }

    /// <summary>(num_embeddings, embedding_dims)</summary>
    public Parameter weight { get; }

    /// <summary>The row that starts as zeros and gets no gradient, counted from the first; null = none.</summary>
    public long? padding_idx => padding;

    /// <summary>The rows of these int64 numbers: (...) becomes (..., embedding_dims).</summary>
    public override Tensor forward(Tensor input) => torch.nn.functional.embedding(input, weight, padding, max_norm, norm_type, scale_grad_by_freq, sparse);
}

/// <summary>Mean 0 and variance 1 over the last dimensions, then weight and bias.</summary>
public sealed class LayerNorm : torch.nn.Module<Tensor, Tensor>
{
    private readonly long[] shape;
    private readonly double eps;

    internal LayerNorm(long[] normalized_shape, double eps, bool elementwise_affine, bool bias, torch.Device? device, torch.ScalarType? dtype) : base(nameof(LayerNorm))
    {
        shape = [.. normalized_shape];
        this.eps = eps;
        if (elementwise_affine) weight = new Parameter(torch.ones(shape, dtype, device));
        if (elementwise_affine && bias) this.bias = new Parameter(torch.zeros(shape, dtype, device));
        register_parameter("weight", weight);
        register_parameter("bias", this.bias);
    }

    /// <summary>Factor of the normalised values, of their shape; null in a layer without.</summary>
    public Parameter? weight { get; }

    /// <summary>Added last, of the normalised shape; null in a layer without.</summary>
    public Parameter? bias { get; }

    /// <summary>Normalised values, shaped as the input.</summary>
    public override Tensor forward(Tensor input) => torch.nn.functional.layer_norm(input, shape, weight, bias, eps);
}

/// <summary>Zeros elements with probability p while training and scales the others by 1 / (1 - p).</summary>
public sealed class Dropout : torch.nn.Module<Tensor, Tensor>
{
    private readonly double p;
    private readonly bool inplace;

    internal Dropout(double p, bool inplace) : base(nameof(Dropout))
    {
        if (!(p >= 0 && p <= 1)) throw new ArgumentOutOfRangeException(nameof(p), p, "the probability must lie between 0 and 1");
        (this.p, this.inplace) = (p, inplace);
    }

    /// <summary>While training the input with elements dropped, else the input's values.</summary>
    public override Tensor forward(Tensor input) => torch.nn.functional.dropout(input, p, training, inplace);
}

/// <summary>Returns its input, as an object of its own.</summary>
public sealed class Identity : torch.nn.Module<Tensor, Tensor>
{
    internal Identity() : base(nameof(Identity))
    {
    }

    /// <summary>The input's values, sharing its memory.</summary>
    public override Tensor forward(Tensor input) => input.alias();
}
