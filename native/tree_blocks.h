// Attention of one block of 48 query rows of a packed tree over its group's keys and values, forward and backward. Scores lie as
// (columns, rows): a vector holds one column's scores of 16 rows, so that largest, sum and mask need no sum over a vector, keys and values
// are read as they lie, and only the block's queries are turned over the diagonal. Tiles of columns stay in the first cache: forward
// the softmax is carried from tile to tile, backward the scores are computed again from the rows' logarithms of sums.
// Source: Milakov and Gimelshein 2018 (softmax in one pass), Dao et al. 2022 (FlashAttention).
#pragma once
#include <cmath>

#include "small_products.h"
#include "tree_view.h"

namespace pa {
namespace tree {

constexpr int64_t kKeys = 96;      // columns of a tile forward
constexpr int64_t kKeysBack = 48;  // and backward, where there are two

// A group's keys, values and their gradients, (columns, wide) each.
struct Columns {
    const float *keys, *values;
    float *dkeys, *dvalues;
    int64_t width, wide;
};

// A block's rows (48, wide), and turned over the diagonal (wide, 48).
struct Queries {
    float *rows, *across;
};

// Which rows each strip of columns of a tile has.
struct Parts {
    int64_t first[kKeys / kStrip], last[kKeys / kStrip];
};

template <class Set>
PA_INLINE void turn_over(const Queries& q, int64_t rows, int64_t wide) {
    typedef typename Set::V V;
    for (int64_t r = 0; r < rows; r += lanes::width<V>())
        for (int64_t d = 0; d < wide; d += lanes::width<V>()) transpose<V>(q.rows + r * wide + d, wide, q.across + d * kQueries + r, kQueries);
}

// left (columns from k on, width) times the rows turned over, for those rows of which some see the columns.
template <class Set>
PA_INLINE void across(const float* left, const Columns& c, int64_t k, int64_t count, const float* rows, int64_t first, int64_t last, float* to) {
    if (last > first)
        Set::product(small::Task{{left + k * c.wide, c.wide, 1}, rows + first, kQueries, count, last - first, c.width, false, to + first, kQueries});
}

// The results' strips += weights (columns k0 to end, rows) turned over, times right (columns, wide).
template <class Set>
PA_INLINE void gather_columns(const View& view, const float* weights, const float* right, int64_t wide, int64_t k0, int64_t end, float* to) {
    for (int64_t s = 0; s < kStrips; s++) {
        const Runs& runs = view.strips[s];
        for (int p = 0; p < runs.count; p++) {
            int64_t from = std::max(k0, runs.first[p]), until = std::min(end, runs.end[p]);
            if (from < until)
                Set::product(small::Task{{weights + (from - k0) * kQueries + s * kStrip, 1, kQueries}, right + from * wide, wide, kStrip, wide, until - from, true, to + s * kStrip * wide, wide});
        }
    }
}

PA_INLINE void clear(float* tile, int64_t count, int64_t first, int64_t last) {
    for (int64_t r = 0; r < count; r++) std::fill_n(tile + r * kQueries + first, last - first, 0.0f);
}

// Running largest score and sum of exponentials of each row.
struct Softmax {
    float best[kQueries], total[kQueries];
};

// A strip's scores, hidden where they are not seen, and the largest so far; 0 in rows that the strip does not have.
template <class Set>
PA_INLINE void score(const View& view, const Columns& c, const float* rows, int64_t k, int64_t count, int64_t first, int64_t last, float* scores, float* top) {
    typename Set::V best, x;
    across<Set>(c.keys, c, k, count, rows, first, last, scores);
    for (int64_t l = first; l < last; l += lanes::width<decltype(x)>()) {
        bool whole = view.whole(l, k, k + count);
        lanes::load(best, top + l);
        for (int64_t r = 0; r < count; r++) {
            lanes::load(x, scores + r * kQueries + l);
            if (!whole) {
                hide(x, static_cast<int32_t>(k + r), view, l);
                lanes::store(x, scores + r * kQueries + l);
            }
            best = x > best ? x : best;
        }
        lanes::store(best, top + l);
    }
    clear(scores, count, 0, first), clear(scores, count, last, kQueries);
}

// From the old largest scores to new ones: what has been summed shrinks.
template <class Set>
PA_INLINE void rescale(const float* top, Softmax& soft, float* mixed, int64_t wide) {
    typedef typename Set::V V;
    constexpr int64_t N = lanes::width<V>();
    float factors[kQueries];
    V factor, x;
    for (int64_t l = 0; l < kQueries; l += N) {
        lanes::load(x, top + l), lanes::load(factor, soft.best + l);
        lanes::store(x, soft.best + l);
        factor -= x;
        lanes::exponential(factor);
        lanes::store(factor, factors + l);
        lanes::load(x, soft.total + l);
        x *= factor;
        lanes::store(x, soft.total + l);
    }
    for (int64_t r = 0; r < kQueries; r++)
        if (factors[r] != 1)
            for (int64_t d = 0; d < wide; d += N) {
                lanes::load(x, mixed + r * wide + d);
                x *= factors[r];
                lanes::store(x, mixed + r * wide + d);
            }
}

template <class Set>
PA_INLINE void exponentials(float* scores, int64_t count, int64_t first, int64_t last, Softmax& soft) {
    typename Set::V best, total, x;
    for (int64_t l = first; l < last; l += lanes::width<decltype(x)>()) {
        lanes::load(best, soft.best + l), lanes::load(total, soft.total + l);
        for (int64_t r = 0; r < count; r++) {
            lanes::load(x, scores + r * kQueries + l);
            x -= best;
            lanes::exponential(x);
            total += x;
            lanes::store(x, scores + r * kQueries + l);
        }
        lanes::store(total, soft.total + l);
    }
}

// mixed (48, wide): sums of e^(score - best) values, with best and total of each row.
template <class Set>
PA_INLINE void forward_block(const View& view, const Columns& c, const float* rows, float* scores, float* mixed, Softmax& soft) {
    std::fill_n(mixed, kQueries * c.wide, 0.0f);
    std::fill_n(soft.best, kQueries, std::numeric_limits<float>::lowest()), std::fill_n(soft.total, kQueries, 0.0f);
    for (int run = 0; run < view.all.count; run++)
        for (int64_t k0 = view.all.first[run], end; k0 < view.all.end[run]; k0 = end) {
            end = std::min(k0 + kKeys, view.all.end[run]);
            Parts parts;
            float top[kQueries];
            std::copy_n(soft.best, kQueries, top);
            for (int64_t k = k0, p = 0; k < end; k += kStrip, p++) {
                int64_t count = std::min(kStrip, end - k);
                view.rows_of(k, k + count, parts.first[p], parts.last[p]);
                score<Set>(view, c, rows, k, count, parts.first[p], parts.last[p], scores + (k - k0) * kQueries, top);
            }
            rescale<Set>(top, soft, mixed, c.wide);
            for (int64_t k = k0, p = 0; k < end; k += kStrip, p++)
                exponentials<Set>(scores + (k - k0) * kQueries, std::min(kStrip, end - k), parts.first[p], parts.last[p], soft);
            gather_columns<Set>(view, scores, c.values, c.wide, k0, end, mixed);
        }
}

// A strip's scores to probabilities, and their gradients to those of the scores: p (dp - shared).
template <class Set>
PA_INLINE void slopes(const View& view, int64_t k, int64_t count, int64_t first, int64_t last, const float* log_sums, const float* shared, float* scores, float* grads) {
    typename Set::V log_sum, own, x, d;
    for (int64_t l = first; l < last; l += lanes::width<decltype(x)>()) {
        bool whole = view.whole(l, k, k + count);
        lanes::load(log_sum, log_sums + l), lanes::load(own, shared + l);
        for (int64_t r = 0; r < count; r++) {
            lanes::load(x, scores + r * kQueries + l), lanes::load(d, grads + r * kQueries + l);
            if (!whole) hide(x, static_cast<int32_t>(k + r), view, l);
            x -= log_sum;
            lanes::exponential(x);
            d = (d - own) * x;
            lanes::store(x, scores + r * kQueries + l), lanes::store(d, grads + r * kQueries + l);
        }
    }
    for (float* tile : {scores, grads}) clear(tile, count, 0, first), clear(tile, count, last, kQueries), clear(tile + count * kQueries, count & 1, 0, kQueries);
}

// Adds to dqueries (48, wide), by the turned and scaled queries, and to the gradients of keys and values.
template <class Set>
PA_INLINE void backward_block(const View& view, const Columns& c, const Queries& q, const Queries& grad, const float* log_sums, const float* shared, float* scores, float* grads, float* dqueries) {
    for (int run = 0; run < view.all.count; run++)
        for (int64_t k0 = view.all.first[run], end; k0 < view.all.end[run]; k0 = end) {
            end = std::min(k0 + kKeysBack, view.all.end[run]);
            for (int64_t k = k0; k < end; k += kStrip) {
                int64_t count = std::min(kStrip, end - k), first, last, at = (k - k0) * kQueries;
                view.rows_of(k, k + count, first, last);
                across<Set>(c.keys, c, k, count, q.across, first, last, scores + at);
                across<Set>(c.values, c, k, count, grad.across, first, last, grads + at);
                slopes<Set>(view, k, count, first, last, log_sums, shared, scores + at, grads + at);
                if (first == last) continue;
                Set::product(small::Task{{grads + at + first, kQueries, 1}, q.rows + first * c.wide, c.wide, count, c.wide, last - first, true, c.dkeys + k * c.wide, c.wide});
                Set::product(small::Task{{scores + at + first, kQueries, 1}, grad.rows + first * c.wide, c.wide, count, c.wide, last - first, true, c.dvalues + k * c.wide, c.wide});
            }
            gather_columns<Set>(view, grads, c.keys, c.wide, k0, end, dqueries);
        }
}

}  // namespace tree
}  // namespace pa
