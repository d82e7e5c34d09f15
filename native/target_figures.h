// What is said of the distribution that a row of logits is, from sums over the row. The C# side lists the same figures in the same
// order (TargetFigure).
#pragma once
#include <cmath>
#include <cstdint>

namespace pa {

enum Figure : int64_t { kLogProb, kMeanLogProb, kEntropy, kArgmaxHit, kLogSumSquare, kMeanLogit, kInverseSum, kFigures };

// Sums over a row of e^d, e^d d, e^2d, where d = logit - largest, and of the logits.
struct RowSums {
    double exponentials = 0, crossed = 0, squares = 0, logits = 0;
};

// `own` is the target's logit, `hit` whether it is the first of the largest ones; figure k goes to to[k * stride].
inline void write_figures(const RowSums& sums, int64_t entries, float own, float largest, bool hit, float* to, int64_t stride) {
    double log_sum = std::log(sums.exponentials), mean = sums.logits / entries;
    to[kLogProb * stride] = static_cast<float>(static_cast<double>(own) - largest - log_sum);
    to[kMeanLogProb * stride] = static_cast<float>(mean - largest - log_sum);
    to[kEntropy * stride] = static_cast<float>(log_sum - sums.crossed / sums.exponentials);
    to[kArgmaxHit * stride] = hit ? 1 : 0;
    to[kLogSumSquare * stride] = static_cast<float>(std::log(sums.squares) - 2 * log_sum);
    to[kMeanLogit * stride] = static_cast<float>(mean);
    to[kInverseSum * stride] = static_cast<float>(1 / sums.exponentials);
}

}  // namespace pa
