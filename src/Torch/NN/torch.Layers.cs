// torch.nn.Linear(...) and its like: makers of the layers in PeftAlign.Torch.Modules, with TorchSharp's parameters.

using PeftAlign.Torch.Modules;

namespace PeftAlign.Torch;

public static partial class torch
{
    /// <summary>Neural networks: modules, layers, functions, initialisation.</summary>
    public static partial class nn
    {
        /// <summary>A parameter that takes over <paramref name="data"/>.</summary>
        public static Parameter Parameter(Tensor data, bool requires_grad = true) => new(data, requires_grad);

        /// <summary>y = x W^T + b.</summary>
        public static Linear Linear(long inputSize, long outputSize, bool hasBias = true, Device? device = null, ScalarType? dtype = null) =>
            new(inputSize, outputSize, hasBias, device, dtype);

        /// <summary>Rows of a table by number.</summary>
        /// <param name="num_embeddings">Rows.</param>
        /// <param name="embedding_dims">Length of a row.</param>
        /// <param name="padding_idx">A row that starts as zeros and gets no gradient.</param>
        /// <param name="max_norm">Rows that are used and longer than this are shortened to it, in place.</param>
        /// <param name="norm_type">The p of that norm.</param>
        /// <param name="scale_grad_by_freq">Divides a row's gradient by how often the row is used in the batch.</param>
        /// <param name="sparse">Makes the weight's gradient sparse.</param>
        /// <param name="device">Where the weight lies.</param>
        /// <param name="dtype">The weight's element type.</param>
        public static Embedding Embedding(long num_embeddings, long embedding_dims, long? padding_idx = null, double? max_norm = null, double norm_type = 2.0, bool scale_grad_by_freq = false, bool sparse = false, Device? device = null, ScalarType? dtype = null) =>
            new(num_embeddings, embedding_dims, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse, device, dtype);

        /// <summary>Normalises over the last dimensions, of this shape.</summary>
        public static LayerNorm LayerNorm(long[] normalized_shape, double eps = 1e-05, bool elementwise_affine = true, bool bias = true, Device? device = null, ScalarType? dtype = null) =>
            new(normalized_shape, eps, elementwise_affine, bias, device, dtype);

        /// <summary>Normalises over the last dimension, of this size.</summary>
        public static LayerNorm LayerNorm(long normalized_shape, double eps = 1e-05, bool elementwise_affine = true, bool bias = true, Device? device = null, ScalarType? dtype = null) =>
            new([normalized_shape], eps, elementwise_affine, bias, device, dtype);

        /// <summary>Zeros elements with probability p while training.</summary>
        public static Dropout Dropout(double p = 0.5, bool inplace = false) => new(p, inplace);

        /// <summary>Returns its input.</summary>
        public static Identity Identity() => new();

        /// <summary>Modules one after the other, under these names.</summary>
        public static Sequential Sequential(params (string, Module<Tensor, Tensor>)[] modules) => new(modules);

        /// <summary>Modules one after the other, named "0", "1" ...</summary>
        public static Sequential Sequential(params Module<Tensor, Tensor>[] modules) => new(modules.Select((m, k) => (k.ToString(), m)));

        /// <summary>Modules by number.</summary>
        public static ModuleList<T> ModuleList<T>(params T[] modules) where T : Module => new(modules);

        /// <summary>Modules by name.</summary>
        public static ModuleDict<T> ModuleDict<T>(params (string, T)[] modules) where T : Module => new(modules);
    }
}
