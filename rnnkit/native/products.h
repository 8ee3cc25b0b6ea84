// Vectors of the machine's own width, elementary functions on them, and matrix products of activations.
//
// Invariant: activations are rows of B numbers, one per sample of the batch, and B is a multiple of the vector width VW, so that no loop has
// a remainder. REAL is float, or double for the tests.

#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include <utility>
#if defined(__AVX512F__)
#include <immintrin.h>
#elif defined(__SSE__) || defined(_M_X64)
#include <xmmintrin.h>
#endif

// Marks a loop that is not inlined, so that its pointers stay in registers whatever surrounds the call.
#define LOOP __attribute__((noinline)) static

typedef REAL real;
#if defined(__AVX512F__)
#define VECTOR_BYTES 64
constexpr int REGISTERS = 32;
#elif defined(__AVX__)
#define VECTOR_BYTES 32
constexpr int REGISTERS = 16;
#else
#define VECTOR_BYTES 16
#if defined(__SSE__) || defined(_M_X64)
constexpr int REGISTERS = 16;
#else
constexpr int REGISTERS = 32;
#endif
#endif
// The blocks that stay in registers: of a product, ROWS x COLUMNS vectors; of a gradient, 4 x SUMS vectors.
constexpr int ROWS = 6, COLUMNS = REGISTERS == 32 ? 4 : 2, SUMS = REGISTERS == 32 ? 4 : 2;
constexpr int VW = VECTOR_BYTES / sizeof(real);
typedef real V __attribute__((vector_size(VECTOR_BYTES)));
typedef real VU __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(real)), may_alias));

static inline V load(const real* p) { return *reinterpret_cast<const VU*>(p); }
static inline void store(real* p, V x) { *reinterpret_cast<VU*>(p) = x; }
static inline V splat(real x) { return x - V{}; }  // a sum with 0 would be computed, since -0 + 0 is not -0

// a0 b0 a1 b1 ..., from the lower (HALF 0) or the upper (HALF 1) halves of two vectors.
#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define HAS_SHUFFLE
#endif
#endif
#ifdef HAS_SHUFFLE
template <int HALF, int... I>
static inline V interleaved(V a, V b, std::integer_sequence<int, I...>) {
    return __builtin_shufflevector(a, b, (I % 2 * VW + I / 2 + HALF * (VW / 2))...);
}
#else
template <int HALF, int... I>
static inline V interleaved(V a, V b, std::integer_sequence<int, I...>) {
    return V{(I % 2 ? b : a)[I / 2 + HALF * (VW / 2)]...};
}
#endif
static inline V lower(V a, V b) { return interleaved<0>(a, b, std::make_integer_sequence<int, VW>()); }
static inline V upper(V a, V b) { return interleaved<1>(a, b, std::make_integer_sequence<int, VW>()); }

// Sums of the elements of COUNT vectors (a power of two, at most VW): lane i has the sum of v[i]. It is recursive, so that all indices are
// constants and the vectors stay in registers. First pairs of vectors are folded into one, then the partial sums that remain of each vector,
// which are COUNT lanes apart.
template <int APART>
static inline V sum_apart(V x) {
    if constexpr (APART < VW) {
        V y = x;
        for (int i = 0; i < VW; i++) y[i] = x[(i + APART) % VW];
        return sum_apart<2 * APART>(x + y);
    }
    return x;
}
template <int COUNT, int LEFT = COUNT>
static inline V sums(const V* v) {
    if constexpr (LEFT == 1) return sum_apart<COUNT>(v[0]);
    else {
        V half[LEFT / 2];
#pragma GCC unroll 16
        for (int i = 0; i < LEFT / 2; i++) half[i] = lower(v[i], v[i + LEFT / 2]) + upper(v[i], v[i + LEFT / 2]);
        return sums<COUNT, LEFT / 2>(half);
    }
}
// Transposes a square block: lane j of v[i] becomes lane i of v[j] (Stone 1971: one perfect shuffle per bit of an index).
static inline void transpose(V* v) {
    V w[VW];
    for (int bit = 1; bit < VW; bit *= 2) {
        for (int i = 0; i < VW / 2; i++) w[2 * i] = lower(v[i], v[i + VW / 2]), w[2 * i + 1] = upper(v[i], v[i + VW / 2]);
        for (int i = 0; i < VW; i++) v[i] = w[i];
    }
}

// The lesser and the greater of a number and each lane. NaN stays NaN, since a clamp must not hide that a network has diverged.
static inline V v_least(real most, V x) {
#if defined(__AVX512F__)
    if constexpr (sizeof(real) == 4) return (V)_mm512_min_ps((__m512)splat(most), (__m512)x);
#endif
    return x > splat(most) ? splat(most) : x;
}
static inline V v_greatest(real least, V x) {
#if defined(__AVX512F__)
    if constexpr (sizeof(real) == 4) return (V)_mm512_max_ps((__m512)splat(least), (__m512)x);
#endif
    return x < splat(least) ? splat(least) : x;
}

// exp. In float: a polynomial on [-ln2/2, ln2/2] and a shift of the exponent, within about 1 ulp. In double: the library's, lane by lane.
static inline V v_exp(V x) {
    if constexpr (sizeof(real) == 4) {
        typedef int32_t VI __attribute__((vector_size(VECTOR_BYTES)));
        x = v_greatest(-87, v_least(88, x));
        V z = x * splat(1.44269504f) + splat(12582912.f);
        V n = z - splat(12582912.f);
        V r = x - n * splat(0.693359375f) - n * splat(-2.12194440e-4f);
        V p = splat(1.9875691500e-4f);
        p = p * r + splat(1.3981999507e-3f);
        p = p * r + splat(8.3334519073e-3f);
        p = p * r + splat(4.1665795894e-2f);
        p = p * r + splat(1.6666665459e-1f);
        p = p * r + splat(5.0000001201e-1f);
        p = p * r * r + r + splat(1);
        return (V)((VI)p + ((VI)z << 23));
    } else {
        for (int i = 0; i < VW; i++) x[i] = std::exp(x[i]);
        return x;
    }
}
// 1 / x within 1 ulp, for x from 1 to 1e38.
static inline V reciprocal(V x) {
#if defined(__AVX512F__)
    if constexpr (sizeof(real) == 4) {  // an estimate of 14 bits and a Newton step: a division takes as long as ten products
        const V r = (V)_mm512_rcp14_ps((__m512)x);
        return r + r * (splat(1) - x * r);
    }
#endif
    return splat(1) / x;
}
// 1 / (1 + exp(-x)). In float, exp(-x) is a power of two whose exponent is rounded once: the absolute error is at most 1e-7, and the
// relative error, far below zero where the sigmoid is nearly exp(x), is 4e-7 at -4 and 4e-6 at -80.
static inline V v_sigmoid(V x) {
    if constexpr (sizeof(real) == 4) {
        typedef int32_t VI __attribute__((vector_size(VECTOR_BYTES)));
        const V z = v_greatest(-126, v_least(126, x * splat(-1.44269504f))), shifted = z + splat(12582912.f), r = z - (shifted - splat(12582912.f));
        V p = splat(1.3264728e-3f);  // 2^r on [-1/2, 1/2] within 9e-8
        p = p * r + splat(9.6715130e-3f);
        p = p * r + splat(5.5507336e-2f);
        p = p * r + splat(2.4022242e-1f);
        p = p * r + splat(6.9314700e-1f);
        p = p * r + splat(1);
        return reciprocal(splat(1) + (V)((VI)p + ((VI)shifted << 23)));
    } else {
        return reciprocal(splat(1) + v_exp(-x));
    }
}
// tanh. In float: an odd polynomial over an even one on [-8.6, 8.6], beyond which tanh is 1 to the last bit; the relative error is 3.1e-7.
static inline V v_tanh(V x) {
    if constexpr (sizeof(real) == 4) {
        x = v_greatest(-8.6f, v_least(8.6f, x));
        const V q = x * x;
        V p = splat(2.02056443e-11f), d = splat(2.31789606e-4f);
        p = p * q - splat(1.35273077e-8f);
        p = p * q + splat(9.51249857e-6f);
        p = p * q + splat(2.94733702e-3f);
        p = p * q + splat(1.29438588e-1f);
        p = (p * q + splat(1)) * x;
        d = d * q + splat(2.38716845e-2f);
        d = d * q + splat(4.62771589e-1f);
        return p * reciprocal(d * q + splat(1));
    } else {
        for (int i = 0; i < VW; i++) x[i] = std::tanh(x[i]);
        return x;
    }
}
static inline V v_relu(V x) { return x < splat(0) ? splat(0) : x; }
static inline V v_positive(V x) { return x > splat(0) ? splat(1) : splat(0); }

// Applies a function of single numbers lane by lane; the compiler turns it into the machine's own vector operations where there are any.
// The functions below have the same names in C++ and CUDA.
using std::cos; using std::exp; using std::fabs; using std::log; using std::log1p; using std::pow; using std::sin; using std::sqrt;
template <class F, class... X>
static inline V each(F f, X... x) {
    V y;
    for (int i = 0; i < VW; i++) y[i] = f(x[i]...);
    return y;
}

// While a step runs, numbers too small for a normal float (such as the gradient of a saturated gate) count as zero, because each of them
// takes a hundred times as long as another number.
struct FlushDenormals {
#if defined(__SSE__) || defined(_M_X64)
    const unsigned before = _mm_getcsr();
    FlushDenormals() { _mm_setcsr(before | 0x8040); }
    ~FlushDenormals() { _mm_setcsr(before); }
#endif
};

// ---- products ------------------------------------------------------------------------------------------------------------
// C[r, c] = bias[r] + base[r, c] + sum over terms of sum_k A(r, k) H[k, c]. bias: (R), base and C: (R, B); bias and base may be null.
struct Term {
    const real* A;  // (R, K), where A(r, k) is A[r * row + k * col]
    int row, col;
    const real* H;  // (K, B)
    int K;
};

// The block of C with the rows r0 ... r0 + MR - 1 and NV vectors of columns from c0 on, which stays in registers.
template <int MR, int NV>
LOOP void micro(int terms, const Term* term, int r0, const real* bias, const real* base, real* C, int B, int c0) {
    V acc[MR][NV];
    for (int i = 0; i < MR; i++)
        for (int j = 0; j < NV; j++) {
            acc[i][j] = splat(bias ? bias[r0 + i] : 0);
            if (base) acc[i][j] += load(base + (r0 + i) * B + c0 + j * VW);
        }
    for (int q = 0; q < terms; q++) {
        const real* A = term[q].A + r0 * term[q].row;
        const real* H = term[q].H + c0;
        const int row = term[q].row, col = term[q].col, K = term[q].K;
        for (int k = 0; k < K; k++, A += col, H += B) {
            V h[NV];
            for (int j = 0; j < NV; j++) h[j] = load(H + j * VW);
            for (int i = 0; i < MR; i++)
                for (int j = 0; j < NV; j++) acc[i][j] += splat(A[i * row]) * h[j];
        }
    }
    for (int i = 0; i < MR; i++)
        for (int j = 0; j < NV; j++) store(C + (r0 + i) * B + c0 + j * VW, acc[i][j]);
}

template <int NV, int MR>
static void micro_rows(int rows, int terms, const Term* term, int r0, const real* bias, const real* base, real* C, int B, int c0) {
    if (rows == MR) micro<MR, NV>(terms, term, r0, bias, base, C, B, c0);
    else if constexpr (MR > 1) micro_rows<NV, MR - 1>(rows, terms, term, r0, bias, base, C, B, c0);
}

// All R rows of C for NV vectors of columns, in blocks of as many rows as the registers hold.
template <int NV>
static void panel(int R, int terms, const Term* term, const real* bias, const real* base, real* C, int B, int c0) {
    constexpr int most = NV < COLUMNS ? 2 * ROWS : ROWS;
    const int blocks = (R + most - 1) / most;
    for (int b = 0, r0 = 0; b < blocks; b++) {
        const int rows = (R - r0 + blocks - b - 1) / (blocks - b);
        micro_rows<NV, most>(rows, terms, term, r0, bias, base, C, B, c0);
        r0 += rows;
    }
}

// Divides K into parts of 128, so that a panel of H stays in the first cache level.
template <int NV>
static void columns(int R, int terms, const Term* term, const real* bias, const real* base, real* C, int B, int c0) {
    int all = 0;
    for (int q = 0; q < terms; q++) all += term[q].K;
    if (all <= 160) return panel<NV>(R, terms, term, bias, base, C, B, c0);
    bool first = true;
    for (int q = 0; q < terms; q++)
        for (int k = 0; k < term[q].K; k += 128, first = false) {
            const int K = term[q].K - k < 128 ? term[q].K - k : 128;
            const Term part = {term[q].A + (long)k * term[q].col, term[q].row, term[q].col, term[q].H + (long)k * B, K};
            panel<NV>(R, 1, &part, first ? bias : nullptr, first ? base : C, C, B, c0);
        }
}

// The whole product.
static void product(int R, int terms, const Term* term, const real* bias, const real* base, real* C, int B) {
    int c0 = 0;
    for (; c0 + COLUMNS * VW <= B; c0 += COLUMNS * VW) columns<COLUMNS>(R, terms, term, bias, base, C, B, c0);
    if constexpr (COLUMNS > 2)
        for (; c0 + 2 * VW <= B; c0 += 2 * VW) columns<2>(R, terms, term, bias, base, C, B, c0);
    for (; c0 < B; c0 += VW) columns<1>(R, terms, term, bias, base, C, B, c0);
}

// G[r, k] = sum over t, b of D_t[r, b] H_t[k, b]: the gradient of a matrix. D_t: (R, B), dstep numbers apart; H_t: (K, B), hstep numbers
// apart; G: (R, K), with rows ldg numbers apart. With `add`, the sums are added to G.
template <int MR, int NR>
LOOP void outer(int T, const real* D, long dstep, const real* H, long hstep, int B, real* G, int ldg, bool add) {
    V acc[MR][NR];
    for (int i = 0; i < MR; i++)
        for (int j = 0; j < NR; j++) acc[i][j] = V{};
    for (int t = 0; t < T; t++, D += dstep, H += hstep)
        for (int b = 0; b < B; b += VW) {
            V h[NR];
            for (int j = 0; j < NR; j++) h[j] = load(H + j * B + b);
            for (int i = 0; i < MR; i++) {
                const V d = load(D + i * B + b);
                for (int j = 0; j < NR; j++) acc[i][j] += d * h[j];
            }
        }
    constexpr int together = MR * NR < VW ? MR * NR : VW;
    alignas(VECTOR_BYTES) real sum[MR * NR + VW];
    for (int q = 0; q < MR * NR; q += together) store(sum + q, sums<together>(&acc[0][0] + q));
    for (int i = 0; i < MR; i++)
        for (int j = 0; j < NR; j++) G[i * ldg + j] = (add ? G[i * ldg + j] : 0) + sum[i * NR + j];
}

template <int MR>
static void outer_rows(int k0, int k1, int T, const real* D, long dstep, const real* H, long hstep, int B, real* G, int ldg, bool add) {
    constexpr int together = MR == 1 ? 4 : SUMS;
    int k = k0;
    for (; k + 4 <= k1; k += 4)
        for (int j = k; j < k + 4; j += together)
            outer<MR, together>(T, D, dstep, H + (long)j * B, hstep, B, G + j, ldg, add);
    for (; k < k1; k++) outer<MR, 1>(T, D, dstep, H + (long)k * B, hstep, B, G + k, ldg, add);
}

// How many time steps are best taken together: eight rows of their activations stay in the first cache level.
constexpr int TOGETHER = 640;
static int steps_together(int B) { return B < TOGETHER ? TOGETHER / B : 1; }

// The gradient of a large matrix is a product instead: the rows of H are turned, so that a vector has VW of them for one sample, and no
// lanes are left to be added up. The order of the sums differs, so smaller matrices keep theirs.
constexpr long LARGE = 14000;
static bool is_large(int R, int K) { return (long)R * K >= LARGE && K >= VW; }
static long turned_size(int B) { return (long)(B < TOGETHER ? TOGETHER : B) * COLUMNS * VW; }

// turned: (T B, NV VW). Vector j of a sample has the VW rows of H from j VW on, and the last one those from `last` on, with 0 instead of
// the rows that the vectors before it have.
template <int NV>
LOOP void turn(int T, const real* H, long hstep, int B, int last, real* turned) {
    for (int t = 0; t < T; t++, H += hstep)
        for (int b = 0; b < B; b += VW, turned += VW * NV * VW)
            for (int j = 0; j < NV; j++) {
                const int first = j + 1 < NV ? j * VW : last;
                V v[VW];
                for (int i = 0; i < VW; i++) v[i] = first + i < j * VW ? V{} : load(H + (long)(first + i) * B + b);
                transpose(v);
                for (int i = 0; i < VW; i++) store(turned + (i * NV + j) * VW, v[i]);
            }
}

// Adds the sums over all samples to MR rows of G. The last vector is stored first: where two overlap, the earlier one has the sums.
template <int MR, int NV>
LOOP void add_rows(int T, const real* D, long dstep, int B, const real* turned, int last, real* G, int ldg) {
    V acc[MR][NV];
    for (int i = 0; i < MR; i++)
        for (int j = 0; j < NV; j++) acc[i][j] = load(G + (long)i * ldg + (j + 1 < NV ? j * VW : last));
    for (int t = 0; t < T; t++, D += dstep)
        for (int b = 0; b < B; b++, turned += NV * VW) {
            V h[NV];
            for (int j = 0; j < NV; j++) h[j] = load(turned + j * VW);
            for (int i = 0; i < MR; i++)
                for (int j = 0; j < NV; j++) acc[i][j] += splat(D[i * B + b]) * h[j];
        }
    for (int i = 0; i < MR; i++)
        for (int j = NV - 1; j >= 0; j--) store(G + (long)i * ldg + (j + 1 < NV ? j * VW : last), acc[i][j]);
}
template <int NV, int MR>
static void add_block(int rows, int T, const real* D, long dstep, int B, const real* turned, int last, real* G, int ldg) {
    if (rows == MR) add_rows<MR, NV>(T, D, dstep, B, turned, last, G, ldg);
    else if constexpr (MR > 1) add_block<NV, MR - 1>(rows, T, D, dstep, B, turned, last, G, ldg);
}

// The same for all R rows of G and the columns from k0 on: NV vectors, or as many as there are.
template <int NV>
static void add_columns(int k0, int R, int K, int T, const real* D, long dstep, const real* H, long hstep, int B, real* G, real* turned) {
    if constexpr (NV > 1)
        if (K - k0 <= (NV - 1) * VW) return add_columns<NV - 1>(k0, R, K, T, D, dstep, H, hstep, B, G, turned);
    const int end = K - VW - k0, last = end < (NV - 1) * VW ? end : (NV - 1) * VW, blocks = (R + ROWS - 1) / ROWS;
    turn<NV>(T, H + (long)k0 * B, hstep, B, last, turned);
    for (int b = 0, r0 = 0; b < blocks; b++) {
        const int rows = (R - r0 + blocks - b - 1) / (blocks - b);
        add_block<NV, ROWS>(rows, T, D + (long)r0 * B, dstep, B, turned, last, G + (long)r0 * K + k0, K);
        r0 += rows;
    }
}

// The whole gradient of a large matrix. turned: turned_size(B) numbers of memory
LOOP void large_gradient(int R, int K, int T, const real* D, long dstep, const real* H, long hstep, int B, real* G, real* turned, bool add) {
    if (!add) std::memset(G, 0, sizeof(real) * R * K);
    const int part = steps_together(B);
    for (int t = 0; t < T; t += part)
        for (int k = 0, steps = T - t < part ? T - t : part; k < K; k += COLUMNS * VW)
            add_columns<COLUMNS>(k, R, K, steps, D + t * dstep, dstep, H + t * hstep, hstep, B, G, turned);
}

// The whole gradient of a matrix. Unless it is large, it is taken eight rows of H at a time, for each of which D is read through once.
static void matrix_gradient(int R, int K, int T, const real* D, long dstep, const real* H, long hstep, int B, real* G, real* turned,
                            bool add = false) {
    if (is_large(R, K)) return large_gradient(R, K, T, D, dstep, H, hstep, B, G, turned, add);
    const int part = steps_together(B);
    for (int t = 0; t < T; t += part, add = true) {
        const int steps = T - t < part ? T - t : part;
        const real *Dt = D + t * dstep, *Ht = H + t * hstep;
        for (int k = 0; k < K; k += 8) {
            const int k1 = k + 8 < K ? k + 8 : K;
            int r = 0;
            for (; r + 4 <= R; r += 4) outer_rows<4>(k, k1, steps, Dt + (long)r * B, dstep, Ht, hstep, B, G + (long)r * K, K, add);
            for (; r < R; r++) outer_rows<1>(k, k1, steps, Dt + (long)r * B, dstep, Ht, hstep, B, G + (long)r * K, K, add);
        }
    }
}

// G[r] = sum over t, b of D_t[r, b], for MR rows, of which FOLDED have the sums of their lanes taken together, and then for R.
template <int MR, int FOLDED>
LOOP void sum_rows(int T, const real* D, long dstep, int B, real* G, bool add) {
    V acc[MR];
    for (int i = 0; i < MR; i++) acc[i] = V{};
    for (int t = 0; t < T; t++, D += dstep)
        for (int b = 0; b < B; b += VW)
            for (int i = 0; i < MR; i++) acc[i] += load(D + (long)i * B + b);
    for (int q = 0; q < MR; q += FOLDED) {
        const V sum = sums<FOLDED>(acc + q);
        for (int i = 0; i < FOLDED; i++) G[q + i] = (add ? G[q + i] : 0) + sum[i];
    }
}
static void row_sums(int R, int T, const real* D, long dstep, int B, real* G, bool add = false) {
    constexpr int together = VW < 8 ? VW : 8;
    int r = 0;
    for (; r + together <= R; r += together) sum_rows<together, together>(T, D + (long)r * B, dstep, B, G + r, add);
    for (; r + 4 <= R; r += 4) sum_rows<4, 1>(T, D + (long)r * B, dstep, B, G + r, add);
    for (; r + 2 <= R; r += 2) sum_rows<2, 1>(T, D + (long)r * B, dstep, B, G + r, add);
    for (; r < R; r++) sum_rows<1, 1>(T, D + (long)r * B, dstep, B, G + r, add);
}

// sum = D_0 + ... + D_{T-1}, or sum += that with `add`. Each has n numbers; D_t are dstep numbers apart.
static void sum_steps(long n, int T, const real* D, long dstep, real* sum, bool add) {
    for (long j = 0; j < n; j += VW) {
        V s = add ? load(sum + j) : V{};
        for (int t = 0; t < T; t++) s += load(D + t * dstep + j);
        store(sum + j, s);
    }
}

// ---- one-hot input -------------------------------------------------------------------------------------------------------
// A matrix (R, I) times vectors with J ones each is a sum of J of its columns, so it is stored by columns: `table` has R / LD blocks (I, LD),
// with R rounded up, each small enough for the first cache level. symbols: (T, J, B), the positions of the ones. VW samples are taken at a
// time and turned into rows of B numbers.
constexpr int LD = 2 * VW;
static long table_size(int R, int I) { return (long)((R + LD - 1) / LD) * LD * I; }

static void by_columns(const real* A, int R, int I, real* table) {
    for (int r0 = 0; r0 < R; r0 += LD, table += (long)LD * I)
        for (int i = 0; i < I; i++)
            for (int r = r0; r < R && r < r0 + LD; r++) table[i * LD + r - r0] = A[(long)r * I + i];
}
// How many copies of a block gather a gradient, if they stay in the first cache level. Neighbouring samples often have the same symbol, and
// in a single copy they would wait for each other.
static int copies(int I) { return I * LD * sizeof(real) <= 4096 ? 4 : 1; }
static void by_rows(const real* table, int R, int I, real* A) {
    const int C = copies(I);
    for (int r0 = 0; r0 < R; r0 += LD, table += (long)C * LD * I)
        for (int i = 0; i < I; i++)
            for (int r = r0; r < R && r < r0 + LD; r++) {
                real sum = table[i * LD + r - r0];
                for (int c = 1; c < C; c++) sum += table[((long)c * I + i) * LD + r - r0];
                A[(long)r * I + i] = sum;
            }
}

// C_t[r, b] = bias[r] + sum over j of A[r, symbols_t[j, b]]; C_t are cstep numbers apart. bias may be null.
LOOP void gather(int R, int I, const real* table, int T, int J, const int32_t* symbols, const real* bias, real* C, long cstep, int B) {
    for (int r0 = 0; r0 < R; r0 += LD, table += (long)LD * I)
        for (int t = 0; t < T; t++)
            for (int b = 0; b < B; b += VW) {
                const int32_t* symbol = symbols + (long)t * J * B + b;
                V v[2][VW];
                for (int i = 0; i < VW; i++) {
                    const real* row = table + symbol[i] * LD;
                    V low = load(row), high = load(row + VW);
                    for (int j = 1; j < J; j++) {
                        row = table + symbol[j * B + i] * LD;
                        low += load(row);
                        high += load(row + VW);
                    }
                    v[0][i] = low;
                    v[1][i] = high;
                }
                for (int half = 0; half < 2 && r0 + half * VW < R; half++) {
                    const int first = r0 + half * VW, rows = R - first < VW ? R - first : VW;
                    real* c = C + t * cstep + (long)first * B + b;
                    transpose(v[half]);
                    for (int i = 0; i < rows; i++) store(c + (long)i * B, bias ? v[half][i] + splat(bias[first + i]) : v[half][i]);
                }
            }
}

// The gradient: adds D_t[r, b] to A[r, symbols_t[j, b]] for each t, j and b; D_t are dstep numbers apart. Here the copies of each block of
// the table follow it.
LOOP void scatter(int R, int I, const real* D, long dstep, int T, int J, const int32_t* symbols, int B, real* table) {
    const int C = copies(I);
    for (int r0 = 0; r0 < R; r0 += LD, table += (long)C * LD * I)
        for (int t = 0; t < T; t++)
            for (int b = 0; b < B; b += VW) {
                const int32_t* symbol = symbols + (long)t * J * B + b;
                V v[2][VW];
                for (int half = 0; half < 2; half++) {
                    const real* d = D + t * dstep + (long)(r0 + half * VW) * B + b;
                    const int rows = R - r0 - half * VW;
                    for (int i = 0; i < VW; i++) v[half][i] = i < rows ? load(d + (long)i * B) : V{};
                    transpose(v[half]);
                }
                for (int i = 0; i < VW; i++) {
                    const V low = v[0][i], high = v[1][i];
                    real* copy = table + (long)(i & (C - 1)) * LD * I;
                    for (int j = 0; j < J; j++) {
                        real* row = copy + symbol[j * B + i] * LD;
                        store(row, load(row) + low);
                        store(row + VW, load(row + VW) + high);
                    }
                }
            }
}
