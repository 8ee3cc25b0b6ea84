// The primitives of step.cu, which a block of THREADS threads executes together, under the names that products.h has for vectors.
//
// Invariant: all threads of a block call each function, and a function that writes what other threads read ends with a barrier.
// Matrices of activations have NB columns, one per sample of the batch.
#pragma once
#ifndef __CUDACC__
#include "shim.h"  // for the tests, which run the same source as C++ threads
#define DYNAMIC_SHARED(name) float* name = dynamic_shared
#else
typedef int int32_t;
typedef unsigned int uint32_t;
typedef long long int64_t;
#define DYNAMIC_SHARED(name) extern __shared__ float4 name##_[]; float* name = (float*)name##_
#endif
#define DEVICE_MEMBER __device__ __forceinline__
#define DEVICE static __device__ __forceinline__
typedef float real;
typedef float4 V;
constexpr int VW = 4, B = NB, WARPS = THREADS / 32, GROUPS = NB / 4;

// Blocks that share a multiprocessor: the fewer they are, the more registers a thread has, and staged products need many.
constexpr int BLOCKS = THREADS > 448 ? 1 : (STAGE ? 448 : 640) / THREADS;

// ---- the numbers that a block stages, at the start of its shared memory ------------------------------------------------------
// STAGE: how many numbers of a contraction a large product stages at a time, a power of two from 4 on; 0: none are staged
constexpr int M = NB >= 64 ? 8 : 4;            // a thread of a staged product computes M x M numbers
constexpr int COLS = NB / M;                   // threads side by side
constexpr int MOST_ROWS = THREADS / COLS * M;  // rows of a staged product at a time
constexpr int WIDTH = 224;                     // rows of both factors of a staged gradient at a time
constexpr int STRIDE = 33;                     // between the samples of a staged scatter, so that no two lanes share a bank
constexpr int PRODUCT_STAGE = NB + MOST_ROWS + 4, GRADIENT_STAGE = WIDTH + 8;
constexpr int TILES_STAGED = STAGE * (PRODUCT_STAGE > GRADIENT_STAGE ? PRODUCT_STAGE : GRADIENT_STAGE);
constexpr int SYMBOLS_STAGED = INPUT == 2 ? (NI * 32 + NB * STRIDE + 3) / 4 * 4 : 0;
constexpr int STAGED = TILES_STAGED > SYMBOLS_STAGED ? TILES_STAGED : SYMBOLS_STAGED;
#define LANES(j, count) _Pragma("unroll 1") for (int j = threadIdx.x; j < (int)(count); j += THREADS)
#define LANE ((int)threadIdx.x % 32)
#define WARP ((int)threadIdx.x / 32)

DEVICE V vec(float x, float y, float z, float w) {
    V v;
    v.x = x, v.y = y, v.z = z, v.w = w;
    return v;
}
DEVICE V load(const real* p) { return *(const V*)p; }
DEVICE void store(real* p, V x) { *(V*)p = x; }
DEVICE V splat(real x) { return vec(x, x, x, x); }
DEVICE V load_or_zero(const real* p, int j) { return p ? load(p + j) : splat(0.f); }
DEVICE V operator+(V a, V b) { return vec(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w); }
DEVICE V operator-(V a, V b) { return vec(a.x - b.x, a.y - b.y, a.z - b.z, a.w - b.w); }
DEVICE V operator*(V a, V b) { return vec(a.x * b.x, a.y * b.y, a.z * b.z, a.w * b.w); }
DEVICE V operator/(V a, V b) { return vec(__fdividef(a.x, b.x), __fdividef(a.y, b.y), __fdividef(a.z, b.z), __fdividef(a.w, b.w)); }
DEVICE V operator-(V a) { return vec(-a.x, -a.y, -a.z, -a.w); }
DEVICE float sigmoid1(float x) { return __fdividef(1.f, 1.f + __expf(-x)); }
DEVICE float tanh1(float x) { return 1.f - __fdividef(2.f, 1.f + __expf(x + x)); }  // e^2x = inf gives 1
#define EACH(f, v) vec(f(v.x), f(v.y), f(v.z), f(v.w))
DEVICE float relu1(float x) { return x < 0.f ? 0.f : x; }
DEVICE float positive1(float x) { return x > 0.f ? 1.f : 0.f; }
DEVICE V v_exp(V v) { return EACH(__expf, v); }
DEVICE V v_sigmoid(V v) { return EACH(sigmoid1, v); }
DEVICE V v_tanh(V v) { return EACH(tanh1, v); }
DEVICE V v_relu(V v) { return EACH(relu1, v); }
DEVICE V v_positive(V v) { return EACH(positive1, v); }
// Applies a function of single numbers to each element of some vectors.
template <class F, class... X>
DEVICE V each(F f, X... v) { return vec(f(v.x...), f(v.y...), f(v.z...), f(v.w...)); }

// ---- matrices of which a thread reads four samples of a row ---------------------------------------------------------------
struct Rows {  // (K, B) numbers
    const real* H;
    DEVICE_MEMBER V at(int k, int c) const { return *(const V*)(H + k * NB + c); }
};
struct Bits {  // (K, B) zeros and ones, 32 rows per word
    const int32_t* W;
    DEVICE_MEMBER V at(int k, int c) const {
        const int4 w = *(const int4*)(W + (k / 32) * NB + c);
        const int s = k % 32;
        return vec(__int_as_float(-((w.x >> s) & 1) & 0x3f800000), __int_as_float(-((w.y >> s) & 1) & 0x3f800000),
                   __int_as_float(-((w.z >> s) & 1) & 0x3f800000), __int_as_float(-((w.w >> s) & 1) & 0x3f800000));
    }
};

// ---- products -------------------------------------------------------------------------------------------------------------
struct Term {
    const real* A;
    int row, col;
    const real* H;
    int K;
};

template <int TM, class X>
DEVICE void accumulate(float (&acc)[TM][4], const real* A, const int (&at)[TM], int col, int K, X x, int c) {
#pragma unroll 4
    for (int k = 0; k < K; k++) {
        const V h = x.at(k, c);
#pragma unroll
        for (int i = 0; i < TM; i++) {
            const float a = A[at[i] + k * col];
            acc[i][0] += a * h.x, acc[i][1] += a * h.y, acc[i][2] += a * h.z, acc[i][3] += a * h.w;
        }
    }
}

// acc[i][j] += sum over k < count of A[k, i] H[k, j], where A and H are staged: k's numbers are pa and ph apart, and a thread has four of
// them and, if M is 8, four more from ha and hh on (neighbouring threads then read neighbouring banks).
template <int M>
DEVICE void multiply_staged(float (&acc)[M][M], const real* A, int pa, int ha, const real* H, int ph, int hh, int count) {
#pragma unroll 2
    for (int k = 0; k < count; k++) {
        float a[M], h[M];
#pragma unroll
        for (int q = 0; q < M / 4; q++) {
            const V va = load(A + k * pa + q * ha), vh = load(H + k * ph + q * hh);
            a[4 * q] = va.x, a[4 * q + 1] = va.y, a[4 * q + 2] = va.z, a[4 * q + 3] = va.w;
            h[4 * q] = vh.x, h[4 * q + 1] = vh.y, h[4 * q + 2] = vh.z, h[4 * q + 3] = vh.w;
        }
#pragma unroll
        for (int i = 0; i < M; i++)
#pragma unroll
            for (int j = 0; j < M; j++) acc[i][j] += a[i] * h[j];
    }
}
DEVICE int in_parts(int count, int most, int multiple) {  // the size of equal parts, none of which is above `most`
    const int parts = (count + most - 1) / most;
    return ((count + parts - 1) / parts + multiple - 1) / multiple * multiple;
}

// The same as product_of, for large matrices: the block stages parts of both factors in shared memory, where each number is read once per
// M others.
template <int TERMS, class X>
DEVICE void staged_product(int R, const Term* term, X first, const real* bias, const real* base, real* C) {
    DYNAMIC_SHARED(stage);
    const int rows = in_parts(R, MOST_ROWS, M), pitch = rows + 4, half = rows / 2;
    real *As = stage, *Hs = stage + STAGE * pitch;
    const int c = threadIdx.x % COLS * 4, mine = threadIdx.x / COLS * 4;
    const bool works = threadIdx.x / COLS < rows / M;
    __syncthreads();
#pragma unroll 1
    for (int r0 = 0; r0 < R; r0 += rows) {
        float acc[M][M];
#pragma unroll
        for (int i = 0; i < M; i++) {
            const int r = r0 + mine + i % 4 + i / 4 * half, row = r < R ? r : R - 1;
            const float b = bias ? bias[row] : 0.f;
#pragma unroll
            for (int q = 0; q < M / 4; q++) {
                const V from = base ? load(base + row * NB + c + q * (NB / 2)) : splat(0.f);
                acc[i][4 * q] = b + from.x, acc[i][4 * q + 1] = b + from.y, acc[i][4 * q + 2] = b + from.z, acc[i][4 * q + 3] = b + from.w;
            }
        }
#pragma unroll
        for (int q = 0; q < TERMS; q++) {
            const Term t = term[q];
#pragma unroll 1
            for (int k0 = 0; k0 < t.K; k0 += STAGE) {
                const int count = t.K - k0 < STAGE ? t.K - k0 : STAGE;
                __syncthreads();
                for (int j = threadIdx.x; j < rows * STAGE; j += THREADS) {  // in the order in which A lies in memory
                    const int k = t.col == 1 ? j % STAGE : j / rows, r = t.col == 1 ? j / STAGE : j % rows;
                    if (k < count) As[k * pitch + r] = r0 + r < R ? t.A[(r0 + r) * t.row + (k0 + k) * t.col] : 0.f;
                }
                for (int j = threadIdx.x * 4; j < count * NB; j += THREADS * 4)
                    store(Hs + j, q == 0 ? first.at(k0 + j / NB, j % NB) : load(t.H + k0 * NB + j));
                __syncthreads();
                if (works) multiply_staged(acc, As + mine, pitch, half, Hs + c, NB, NB / 2, count);
            }
        }
#pragma unroll
        for (int i = 0; i < M; i++) {
            const int r = r0 + mine + i % 4 + i / 4 * half;
            if (!works || r >= R) continue;
#pragma unroll
            for (int q = 0; q < M / 4; q++)
                store(C + r * NB + c + q * (NB / 2), vec(acc[i][4 * q], acc[i][4 * q + 1], acc[i][4 * q + 2], acc[i][4 * q + 3]));
        }
    }
    __syncthreads();
}

// C[r, c] = bias[r] + base[r, c] + sum over terms of A(r, k) H[k, c]. Each thread computes TM rows and 4 columns; neighbouring threads have
// the same rows, so that A is broadcast to them. `first` stands for the H of the first term. bias: (R), base and C: (R, NB).
template <int TM, int TERMS, class X>
DEVICE void product_of(int R, const Term* term, X first, const real* bias, const real* base, real* C) {
    if (STAGE && NB % (2 * M) == 0 && NB <= 128 && R * NB >= M * M * THREADS / 4) return staged_product<TERMS>(R, term, first, bias, base, C);
    __syncthreads();
    const int tiles = (R + TM - 1) / TM;
#pragma unroll 1
    for (int w = threadIdx.x; w < tiles * GROUPS; w += THREADS) {
        const int c = w % GROUPS * 4, r0 = w / GROUPS * TM;
        float acc[TM][4];
        int row[TM];
#pragma unroll
        for (int i = 0; i < TM; i++) {
            const int r = row[i] = r0 + i < R ? r0 + i : R - 1;
            const float b = bias ? bias[r] : 0.f;
            const V from = base ? load(base + r * NB + c) : splat(0.f);
            acc[i][0] = b + from.x, acc[i][1] = b + from.y, acc[i][2] = b + from.z, acc[i][3] = b + from.w;
        }
#pragma unroll
        for (int q = 0; q < TERMS; q++) {
            int at[TM];
#pragma unroll
            for (int i = 0; i < TM; i++) at[i] = row[i] * term[q].row;
            if (q == 0) accumulate(acc, term[q].A, at, term[q].col, term[q].K, first, c);
            else accumulate(acc, term[q].A, at, term[q].col, term[q].K, Rows{term[q].H}, c);
        }
#pragma unroll
        for (int i = 0; i < TM; i++)
            if (r0 + i < R) store(C + (r0 + i) * NB + c, vec(acc[i][0], acc[i][1], acc[i][2], acc[i][3]));
    }
    __syncthreads();
}
template <int TM, int TERMS>
DEVICE void product(int R, const Term* term, const real* bias, const real* base, real* C) {
    product_of<TM, TERMS>(R, term, Rows{TERMS ? term[0].H : nullptr}, bias, base, C);
}

// ---- sums over samples ----------------------------------------------------------------------------------------------------
DEVICE float warp_sum(float x) {
#pragma unroll
    for (int m = 16; m; m /= 2) x += __shfl_xor_sync(0xffffffffu, x, m);
    return x;
}

// Sums each of 16 values over the lanes of a warp: lane l returns the sum of value l % 16.
DEVICE float reduce16(float* v) {
#pragma unroll
    for (int half = 8; half; half /= 2)
#pragma unroll
        for (int i = 0; i < half; i++) {
            const bool up = LANE & half;
            const float keep = up ? v[i + half] : v[i], give = up ? v[i] : v[i + half];
            v[i] = keep + __shfl_xor_sync(0xffffffffu, give, half);
        }
    return v[0] + __shfl_xor_sync(0xffffffffu, v[0], 16);
}

// Stages four samples, b ... b + 3, of a row in the columns r of as many staged rows, `pitch` numbers apart.
DEVICE void stage_samples(real* to, int pitch, int r, int b, V v) {
    to += b * pitch + r;
    to[0] = v.x, to[pitch] = v.y, to[2 * pitch] = v.z, to[3 * pitch] = v.w;
}

// The same as gradient_of, for large matrices: a thread computes 8 x 8 numbers of a part of G, and the block stages STAGE samples at a time.
template <class AT>
DEVICE void staged_gradient(int R, int K, int T, const real* D, int dstep, AT x_at, real* G) {
    DYNAMIC_SHARED(stage);
    const int cols = in_parts(K, WIDTH / 2, 8), fitting = THREADS / (cols / 8) * 8, room = WIDTH - cols;
    const int rows = in_parts(R, fitting < room ? fitting : room, 8), pd = rows + 4, px = cols + 4;
    real *Ds = stage, *Xs = stage + STAGE * pd;
    const int k4 = threadIdx.x % (cols / 8) * 4, r4 = threadIdx.x / (cols / 8) * 4;
    const bool works = r4 < rows / 2;
#pragma unroll 1
    for (int part = 0; part < (R + rows - 1) / rows * ((K + cols - 1) / cols); part++) {
        const int r0 = part / ((K + cols - 1) / cols) * rows, k0 = part % ((K + cols - 1) / cols) * cols;
        float acc[8][8];
#pragma unroll
        for (int i = 0; i < 8; i++)
#pragma unroll
            for (int j = 0; j < 8; j++) acc[i][j] = 0.f;
#pragma unroll 1
        for (int u = 0; u < T * NB; u += STAGE) {
            const int t = u / NB, b0 = u % NB;
            const auto x = x_at(t);
            __syncthreads();
            for (int j = threadIdx.x; j < (rows + cols) * (STAGE / 4); j += THREADS) {
                const int r = j / (STAGE / 4), b = j % (STAGE / 4) * 4, k = r - rows;
                if (r < rows) stage_samples(Ds, pd, r, b, r0 + r < R ? load(D + t * dstep + (r0 + r) * NB + b0 + b) : splat(0.f));
                else stage_samples(Xs, px, k, b, k0 + k < K ? x.at(k0 + k, b0 + b) : splat(0.f));
            }
            __syncthreads();
            if (works) multiply_staged(acc, Ds + r4, pd, rows / 2, Xs + k4, px, cols / 2, STAGE);
        }
#pragma unroll
        for (int i = 0; i < 8; i++)
#pragma unroll
            for (int j = 0; j < 8; j++) {
                const int r = r0 + r4 + i % 4 + i / 4 * (rows / 2), k = k0 + k4 + j % 4 + j / 4 * (cols / 2);
                if (works && r < R && k < K) G[r * K + k] = acc[i][j];
            }
    }
    __syncthreads();
}

// G[r, k] = sum over t, b of D_t[r, b] X_t[k, b]. Each warp computes 4 x 4 numbers; its lanes divide steps and samples among themselves.
// D_t: (R, NB), dstep numbers apart; x_at(t): (K, NB); G: (R, K).
template <class AT>
DEVICE void gradient_of(int R, int K, int T, const real* D, int dstep, AT x_at, real* G) {
    if (STAGE && NB % STAGE == 0 && R * K >= 64 * THREADS / 4) return staged_gradient(R, K, T, D, dstep, x_at, G);
    __syncthreads();
    const int tk = (K + 3) / 4, tiles = (R + 3) / 4 * tk;
#pragma unroll 1
    for (int w = WARP; w < tiles; w += WARPS) {
        const int r0 = w / tk * 4, k0 = w % tk * 4;
        float acc[16];
#pragma unroll
        for (int i = 0; i < 16; i++) acc[i] = 0.f;
#pragma unroll 1
        for (int u = LANE; u < T * GROUPS; u += 32) {
            const int t = u / GROUPS, b = u % GROUPS * 4;
            V d[4], h[4];
#pragma unroll
            for (int i = 0; i < 4; i++) {
                d[i] = load(D + t * dstep + (r0 + i < R ? r0 + i : R - 1) * NB + b);
                h[i] = x_at(t).at(k0 + i < K ? k0 + i : K - 1, b);
            }
#pragma unroll
            for (int i = 0; i < 4; i++)
#pragma unroll
                for (int j = 0; j < 4; j++) acc[i * 4 + j] += d[i].x * h[j].x + d[i].y * h[j].y + d[i].z * h[j].z + d[i].w * h[j].w;
        }
        const float sum = reduce16(acc);
        const int r = r0 + LANE % 16 / 4, k = k0 + LANE % 4;
        if (LANE < 16 && r < R && k < K) G[r * K + k] = sum;
    }
    __syncthreads();
}
struct RowsAt {
    const real* H;
    int step;
    DEVICE_MEMBER Rows operator()(int t) const { return Rows{H + t * step}; }
};
struct BitsAt {
    const int32_t* W;
    DEVICE_MEMBER Bits operator()(int) const { return Bits{W}; }
};
DEVICE void matrix_gradient(int R, int K, int T, const real* D, int dstep, const real* H, int hstep, real* G) {
    gradient_of(R, K, T, D, dstep, RowsAt{H, hstep}, G);
}

// G[r] = sum over t, b of D_t[r, b]; one warp per row.
DEVICE void row_sums(int R, int T, const real* D, int dstep, real* G) {
    __syncthreads();
#pragma unroll 1
    for (int r = WARP; r < R; r += WARPS) {
        float s = 0.f;
        for (int u = LANE; u < T * GROUPS; u += 32) {
            const V d = load(D + u / GROUPS * dstep + r * NB + u % GROUPS * 4);
            s += d.x + d.y + d.z + d.w;
        }
        s = warp_sum(s);
        if (LANE == 0) G[r] = s;
    }
    __syncthreads();
}

// D_0 += D_1 + ... + D_{T-1}, of `count` numbers each.
DEVICE void sum_steps(int count, int T, real* D, int dstep) {
#pragma unroll 1
    for (int j = threadIdx.x * VW; j < count; j += THREADS * VW) {
        V s = load(D + j);
        for (int t = 1; t < T; t++) s = s + load(D + t * dstep + j);
        store(D + j, s);
    }
    __syncthreads();
}

// Copies `count` numbers, a multiple of four. Without a barrier.
DEVICE void move(real* to, const real* from, int count) {
#pragma unroll 8
    for (int j = threadIdx.x * VW; j < count; j += THREADS * VW) store(to + j, load(from + j));
}

// ---- symbols --------------------------------------------------------------------------------------------------------------
// out[r, b] = bias[r] + sum over streams of A[r, symbol of sample b]. A: (R, I), symbols: (streams, NB), bias: (R), out: (R, NB).
DEVICE void gather(int R, int I, const real* A, int streams, const int32_t* symbols, const real* bias, real* out) {
    __syncthreads();
    LANES(j, R * NB) {
        const int r = j / NB, b = j % NB;
        float s = bias ? bias[r] : 0.f;
        for (int m = 0; m < streams; m++) s += A[r * I + symbols[m * NB + b]];
        out[j] = s;
    }
    __syncthreads();
}

// sums[k] += d for four symbols k and their numbers d, in this order; k is the same for all lanes of a warp. Where the symbols differ, as
// they mostly do, no sum waits for another.
DEVICE void add_four(real* sums, const int (&k)[4], const float (&d)[4]) {
    if (k[0] != k[1] && k[0] != k[2] && k[0] != k[3] && k[1] != k[2] && k[1] != k[3] && k[2] != k[3]) {
        float s[4];
#pragma unroll
        for (int q = 0; q < 4; q++) s[q] = sums[k[q] * 32];
#pragma unroll
        for (int q = 0; q < 4; q++) sums[k[q] * 32] = s[q] + d[q];
    } else {
#pragma unroll
        for (int q = 0; q < 4; q++) sums[k[q] * 32] += d[q];
    }
}
// Adds a warp's share of one step: `count` symbols, of which it takes those whose rest modulo PARTS is `part`. Ds has the samples' numbers
// for this lane, STRIDE apart.
template <int PARTS>
DEVICE void add_symbols(real* sums, const real* Ds, const int32_t* symbols, int count, int part) {
#pragma unroll 1
    for (int i = 0; i < count; i += 32) {
        const int symbol = i + LANE < count ? symbols[i + LANE] : -1;
        if (PARTS == 1 && count - i >= 32) {
#pragma unroll 2
            for (int lane = 0; lane < 32; lane += 4) {
                int k[4];
                float d[4];
#pragma unroll
                for (int q = 0; q < 4; q++)
                    k[q] = __shfl_sync(0xffffffffu, symbol, lane + q), d[q] = Ds[(i + lane + q) % NB * STRIDE];
                add_four(sums, k, d);
            }
            continue;
        }
        unsigned mine = __ballot_sync(0xffffffffu, symbol >= 0 && symbol % PARTS == part);
        while (mine) {
            const int lane = __ffs(mine) - 1, k = __shfl_sync(0xffffffffu, symbol, lane);
            mine &= mine - 1;
            sums[k * 32] += Ds[(i + lane) % NB * STRIDE];
        }
    }
}

// G[r, k] = sum of D_t[r, b] over the t, b and streams whose symbol is k. Rows are taken 32 at a time, one per lane, and each warp adds to
// the symbols of its own, so that the order of the sums is always the same, which atomic additions would not guarantee. The sums and the
// numbers of one step are staged. DISJOINT: whether no two streams have a symbol in common, so that a warp need not look at all of them.
// D_t: (R, NB), symbols: (T, STREAMS, NB), G: (R, I).
template <bool DISJOINT>
DEVICE void scatter(int R, int I, int T, const real* D, int dstep, const int32_t* symbols, real* G) {
    DYNAMIC_SHARED(stage);
    constexpr int GROUPS_OF_STREAMS = DISJOINT ? STREAMS : 1, PARTS = (WARPS + GROUPS_OF_STREAMS - 1) / GROUPS_OF_STREAMS;
    constexpr int SYMBOLS = STREAMS / GROUPS_OF_STREAMS * NB, NEXT = (32 * NB + THREADS - 1) / THREADS;
    real *sums = stage, *Ds = stage + I * 32;
#pragma unroll 1
    for (int r0 = 0; r0 < R; r0 += 32) {
        const int rows = R - r0 < 32 ? R - r0 : 32;
        __syncthreads();
        LANES(j, I * 32) sums[j] = 0.f;
#pragma unroll 1
        for (int t = -1; t < T; t++) {
            float next[NEXT];  // of the step after this one, on their way while this one is added
#pragma unroll
            for (int q = 0; q < NEXT; q++) {
                const int j = threadIdx.x + q * THREADS;
                next[q] = t + 1 < T && j < rows * NB ? D[(t + 1) * dstep + r0 * NB + j] : 0.f;
            }
            if (t >= 0)
#pragma unroll 1
                for (int unit = WARP; unit < GROUPS_OF_STREAMS * PARTS; unit += WARPS)
                    add_symbols<PARTS>(sums + LANE, Ds + LANE, symbols + t * STREAMS * NB + unit / PARTS * SYMBOLS, SYMBOLS, unit % PARTS);
            __syncthreads();
#pragma unroll
            for (int q = 0; q < NEXT; q++) {
                const int j = threadIdx.x + q * THREADS;
                if (j < 32 * NB) Ds[j % NB * STRIDE + j / NB] = next[q];
            }
            __syncthreads();
        }
        LANES(j, rows * I) G[(r0 + j / I) * I + j % I] = sums[j % I * 32 + j / I];
    }
    __syncthreads();
}
