// Decompositions. Source of meanings: PyTorch's torch.linalg.

using PeftAlign.Torch.Native;

namespace PeftAlign.Torch;

public static partial class torch
{
    /// <summary>Linear algebra.</summary>
    public static class linalg
    {
        /// <summary>Which parts qr gives.</summary>
        public enum QRMode
        {
            /// <summary>Q (m, min(m, n)) and R (min(m, n), n).</summary>
            Reduced,

            /// <summary>Q (m, m) and R (m, n).</summary>
            Complete,
        }

        /// <summary>A = U diag(S) Vh with S in descending order; signs of a pair of columns of U and rows of Vh are free.</summary>
        /// <param name="input">(..., m, n)</param>
        /// <param name="fullMatrices">Whether U is (m, m) and Vh (n, n); else both have min(m, n) vectors.</param>
        public static (Tensor U, Tensor S, Tensor Vh) svd(Tensor input, bool fullMatrices = true) => Aten.svd.Triple(input, fullMatrices, (string?)null);

        /// <summary>A = Q diag(L) Q' of a symmetric matrix, L in ascending order; signs of columns of Q are free.</summary>
        /// <param name="input">(..., m, m); its lower triangle is read.</param>
        public static (Tensor L, Tensor Q) eigh(Tensor input) => Aten.eigh.Pair(input, "L");

        /// <summary>A = Q R, Q with orthonormal columns, R upper triangular.</summary>
        /// <param name="input">(..., m, n)</param>
        /// <param name="mode">Which parts.</param>
        public static (Tensor Q, Tensor R) qr(Tensor input, QRMode mode = QRMode.Reduced) => Aten.qr.Pair(input, mode == QRMode.Reduced ? "reduced" : "complete");
    }
}
