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

// ---- the numbers that a block stages, at the start of its shared memory ------------------------------------------------------
// STAGE: how many numbers of a contraction a large product stages at a time, a power of two from 4 to 32; 0: none are staged. Two such parts
// are there at once: one is copied while the block computes with the other.
static_assert(STAGE == 0 || MEMORY <= 3, "what is staged is copied from global memory");
constexpr bool STAGES_PRODUCTS = STAGE && MEMORY < 2;  // from level 2 on, their factors are in shared memory anyway
constexpr int MC = NB >= 64 ? 8 : 4;                   // columns per thread of a staged product
constexpr int COLS = NB / MC;                          // threads side by side
constexpr int MOST_ROWS = THREADS / COLS * 8;          // rows of a staged product at a time
constexpr int WIDTH = MEMORY < 2 ? 224 : 160;          // rows of both factors of a staged gradient at a time
constexpr int PITCH = STAGE + 4;                       // between staged rows, so that eight threads in a row share no bank
constexpr int STRIDE = 33;                             // between the samples of a staged scatter, so that no two lanes share a bank
constexpr int APART = NB + 4;                          // between the rows that scatter_streams stages, for the same reason
constexpr int A_STAGE = MOST_ROWS > STAGE ? MOST_ROWS * PITCH : STAGE * (MOST_ROWS + 4);
constexpr int PRODUCT_STAGE = STAGES_PRODUCTS ? A_STAGE + STAGE * NB : 0, GRADIENT_STAGE = STAGE ? WIDTH * PITCH : 0;
constexpr int TILES_STAGED = 2 * (PRODUCT_STAGE > GRADIENT_STAGE ? PRODUCT_STAGE : GRADIENT_STAGE);
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

// ---- several vectors at a time ---------------------------------------------------------------------------------------------
// U vectors, THREADS apart, of a matrix of units x batch: a loop over such loads all its numbers before it waits for the first.
template <int U>
struct Wide {
    V v[U];
    static constexpr int STEP = U * THREADS * VW;
    DEVICE_MEMBER static Wide of(real x) {
        Wide w;
#pragma unroll
        for (int i = 0; i < U; i++) w.v[i] = splat(x);
        return w;
    }
    DEVICE_MEMBER static Wide at(const real* p, int j) {  // p: (NU, NB), or null for zeros
        Wide w;
#pragma unroll
        for (int i = 0; i < U; i++) w.v[i] = p && (i == 0 || j + i * THREADS * VW < NU * NB) ? load(p + j + i * THREADS * VW) : splat(0.f);
        return w;
    }
    DEVICE_MEMBER void to(real* p, int j) const {
#pragma unroll
        for (int i = 0; i < U; i++)
            if (i == 0 || j + i * THREADS * VW < NU * NB) store(p + j + i * THREADS * VW, v[i]);
    }
};
template <class F, int U, class... X>
DEVICE Wide<U> for_all(F f, Wide<U> a, X... more) {
#pragma unroll
    for (int i = 0; i < U; i++) a.v[i] = f(a.v[i], more.v[i]...);
    return a;
}
#define WIDE_UNARY(f) template <int U> DEVICE Wide<U> f(Wide<U> a) { return for_all([](V x) { return f(x); }, a); }
#define WIDE_BINARY(o) template <int U> DEVICE Wide<U> operator o(Wide<U> a, Wide<U> b) { return for_all([](V x, V y) { return x o y; }, a, b); }
WIDE_UNARY(v_exp) WIDE_UNARY(v_sigmoid) WIDE_UNARY(v_tanh) WIDE_UNARY(v_relu) WIDE_UNARY(v_positive)
WIDE_BINARY(+) WIDE_BINARY(-) WIDE_BINARY(*) WIDE_BINARY(/)
template <int U> DEVICE Wide<U> operator-(Wide<U> a) { return for_all([](V x) { return -x; }, a); }
template <int U> DEVICE Wide<U> operator-(V a, Wide<U> b) { return for_all([a](V x) { return a - x; }, b); }
template <class F, int U, class... X>
DEVICE Wide<U> each(F f, Wide<U> a, X... more) {
    return for_all([f](auto... x) { return each(f, x...); }, a, more...);
}
// How many vectors a thread takes at a time: many where they come from global memory, fewer where a cell has much to remember of each.
constexpr int together(int maps) {
    const int needed = (NU * NB / VW + THREADS - 1) / THREADS, most = MEMORY == 5 ? 1 : maps > 1 ? 2 : 4;
    return needed < most ? needed : most;
}

// here(x) is x, and what is computed from it is computed there: before a loop, all its addresses would take registers throughout.

// ---- copies into shared memory for which no thread waits ---------------------------------------------------------------------
// Copies, or writes zeros unless `there`; they are done after wait_for_copies. Addresses of sixteen bytes are multiples of sixteen.
#ifdef __CUDACC__
DEVICE void copy4(real* to, const real* from, bool there) {
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"((unsigned)__cvta_generic_to_shared(to)), "l"(from), "r"(there ? 4 : 0)
                 : "memory");
}
DEVICE void copy16(real* to, const real* from, bool there) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"((unsigned)__cvta_generic_to_shared(to)), "l"(from), "r"(there ? 16 : 0)
                 : "memory");
}
DEVICE int here(int x) {
    asm volatile("" : "+r"(x));
    return x;
}
DEVICE void wait_for_copies() { asm volatile("cp.async.wait_all;" ::: "memory"); }
DEVICE void fetch_line(const real* p) { asm volatile("prefetch.global.L2 [%0];" ::"l"(p)); }
#endif
// Copies four numbers, which are also in shared memory where a block has its adjoints there.
DEVICE void copy_near_or_far(real* to, const real* from, bool there) {
    if (MEMORY >= 4) store(to, there ? load(from) : splat(0.f));
    else copy16(to, from, there);
}
// Asks for numbers in global memory that are soon needed.
DEVICE void fetch(const real* p, int count) {
#pragma unroll 1
    for (int j = threadIdx.x * 32; j < count; j += THREADS * 32) fetch_line(p + j);
}

// ---- matrices of which a thread reads four samples of a row ---------------------------------------------------------------
struct Rows {  // (K, B) numbers; more such matrices follow `step` numbers apart
    const real* H;
    int step;
    DEVICE_MEMBER V at(int k, int c) const { return *(const V*)(H + k * NB + c); }
    DEVICE_MEMBER void stage(real* to, int k, int c, bool there) const { copy16(to, H + k * NB + c, there); }
    DEVICE_MEMBER Rows operator()(int page) const { return Rows{H + page * step, step}; }
};
struct Bits {  // (K, B) zeros and ones, 32 rows per word
    const int32_t* W;
    DEVICE_MEMBER V at(int k, int c) const {
        const int4 w = *(const int4*)(W + (k / 32) * NB + c);
        const int s = k % 32;
        return vec(__int_as_float(-((w.x >> s) & 1) & 0x3f800000), __int_as_float(-((w.y >> s) & 1) & 0x3f800000),
                   __int_as_float(-((w.z >> s) & 1) & 0x3f800000), __int_as_float(-((w.w >> s) & 1) & 0x3f800000));
    }
    DEVICE_MEMBER void stage(real* to, int k, int c, bool there) const { store(to, there ? at(k, c) : splat(0.f)); }
    DEVICE_MEMBER Bits operator()(int) const { return *this; }
};

// ---- products -------------------------------------------------------------------------------------------------------------
// The rows per thread of a product with so many rows: TILE, or fewer where there are threads enough.
constexpr int tile_of(int R) {
    const int side = THREADS / GROUPS, needed = MEMORY == 2 && side ? (R + side - 1) / side : TILE;
    return needed < TILE ? needed : TILE;
}
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

DEVICE float number_of(V v, int i) { return i == 0 ? v.x : i == 1 ? v.y : i == 2 ? v.z : v.w; }  // i is a constant

// acc[i][j] += sum over k < count of A[i, k] H[k, j], where A and H are staged. A thread has four rows side by side, and four more, if MR is 8,
// from `half` rows on; of the columns likewise from NB / 2 on. count is a multiple of four. A: rows PITCH apart
template <int MR>
DEVICE void multiply_by_rows(float (&acc)[MR][MC], const real* A, int half, const real* H, int count) {
#pragma unroll 1
    for (int k = 0; k < count; k += 4) {
        V a[MR];
#pragma unroll
        for (int i = 0; i < MR; i++) a[i] = load(A + (i % 4 + i / 4 * half) * PITCH + k);
#pragma unroll
        for (int m = 0; m < 4; m++)
#pragma unroll
            for (int q = 0; q < MC / 4; q++) {
                const V h = load(H + (k + m) * NB + q * (NB / 2));
#pragma unroll
                for (int i = 0; i < MR; i++)
#pragma unroll
                    for (int j = 0; j < 4; j++) acc[i][4 * q + j] += number_of(a[i], m) * number_of(h, j);
            }
    }
}
// The same of A[k, i], whose columns are `pitch` apart.
template <int MR>
DEVICE void multiply_by_columns(float (&acc)[MR][MC], const real* A, int pitch, int half, const real* H, int count) {
#pragma unroll 4
    for (int k = 0; k < count; k++) {
        V a[MR / 4];
#pragma unroll
        for (int q = 0; q < MR / 4; q++) a[q] = load(A + k * pitch + q * half);
#pragma unroll
        for (int q = 0; q < MC / 4; q++) {
            const V h = load(H + k * NB + q * (NB / 2));
#pragma unroll
            for (int i = 0; i < MR; i++)
#pragma unroll
                for (int j = 0; j < 4; j++) acc[i][4 * q + j] += number_of(a[i / 4], i % 4) * number_of(h, j);
        }
    }
}
constexpr DEVICE int parts_of(int count, int most) { return (count + most - 1) / most; }
constexpr DEVICE int in_parts(int count, int most, int multiple) {  // the size of equal parts, none of which is above `most`
    const int parts = parts_of(count, most);
    return ((count + parts - 1) / parts + multiple - 1) / multiple * multiple;
}

// Begins to stage the numbers k0 ... k0 + count - 1 of `rows` rows of A from r0 on, and zeros up to `filled`.
DEVICE void stage_weights(real* As, const Term& t, int R, int r0, int rows, int k0, int count, int filled) {
    const auto copy = [=](real* to, int r, int k) {
        const bool there = r < R && k < count;
        const real* from = t.A + r * t.row + (k0 + k) * t.col;
        if (MEMORY) *to = there ? *from : 0.f;  // they are in shared memory themselves
        else copy4(to, from, there);
    };
    if (t.col == 1) {
        const int k = here(threadIdx.x % STAGE);
        if (k < filled)
#pragma unroll 4
            for (int r = threadIdx.x / STAGE; r < rows; r += THREADS / STAGE) copy(As + r * PITCH + k, r0 + r, k);
    } else {
#pragma unroll 1
        for (int k = here(WARP); k < filled; k += WARPS)
#pragma unroll 4
            for (int r = here(LANE); r < rows; r += 32) copy(As + k * (rows + 4) + r, r0 + r, k);
    }
}

// The same as product_of, for large matrices: the block stages parts of both factors in shared memory, where each number is read once per
// eight others, and copies the next parts meanwhile. A thread computes MR x MC numbers.
template <int MR, int TERMS, class X>
DEVICE void staged_product(int pages, int R, const Term* term, X first, const real* bias, const real* base, real* C, int cstep) {
    DYNAMIC_SHARED(stage);
    const int rows = in_parts(R, THREADS / COLS * MR, MR), half = rows / 2, parts = parts_of(R, rows);
    const int chunks_0 = parts_of(term[0].K, STAGE), chunks = chunks_0 + (TERMS == 2 ? parts_of(term[TERMS - 1].K, STAGE) : 0);
    const int c = threadIdx.x % COLS * 4, mine = threadIdx.x / COLS * 4;
    const bool works = threadIdx.x / COLS < rows / MR, by_rows = term[0].col == 1;
    const auto numbers_of = [=](int chunk) {  // of a contraction
        const int k = (chunk < chunks_0 ? chunk : chunk - chunks_0) * STAGE, K = chunk < chunks_0 ? term[0].K : term[TERMS - 1].K;
        return K - k < STAGE ? K - k : STAGE;
    };
    const auto begin_copies = [=](int u) {
        real *As = stage + u % 2 * PRODUCT_STAGE, *Hs = As + A_STAGE;
        const int chunk = u % chunks, count = numbers_of(chunk), filled = (count + 3) / 4 * 4;
        const bool is_first = TERMS == 1 || chunk < chunks_0;
        const int k0 = (is_first ? chunk : chunk - chunks_0) * STAGE;
        stage_weights(As, is_first ? term[0] : term[TERMS - 1], R, u / chunks % parts * rows, rows, k0, count, filled);
        const X x = first(u / chunks / parts);
#pragma unroll 2
        for (int j = here(threadIdx.x * 4); j < filled * NB; j += THREADS * 4) {
            if (is_first) x.stage(Hs + j, k0 + j / NB, j % NB, j / NB < count);
            else copy16(Hs + j, term[TERMS - 1].H + k0 * NB + j, j / NB < count);
        }
    };
    float acc[MR][MC];
    __syncthreads();
    begin_copies(0);
#pragma unroll 1
    for (int u = 0; u < pages * parts * chunks; u++) {
        const real *As = stage + u % 2 * PRODUCT_STAGE, *Hs = As + A_STAGE;
        const int chunk = u % chunks, r0 = u / chunks % parts * rows, filled = (numbers_of(chunk) + 3) / 4 * 4;
        wait_for_copies();
        __syncthreads();
        if (u + 1 < pages * parts * chunks) begin_copies(u + 1);
        if (!works) continue;
        const int first_row = here(r0 + mine);
        if (chunk == 0)
#pragma unroll
            for (int i = 0; i < MR; i++) {
                const int r = first_row + i % 4 + i / 4 * half, row = r < R ? r : R - 1;
                const float b = bias ? bias[row] : 0.f;
#pragma unroll
                for (int q = 0; q < MC / 4; q++) {
                    const V from = base ? load(base + row * NB + c + q * (NB / 2)) : splat(0.f);
                    acc[i][4 * q] = b + from.x, acc[i][4 * q + 1] = b + from.y, acc[i][4 * q + 2] = b + from.z, acc[i][4 * q + 3] = b + from.w;
                }
            }
        if (by_rows) multiply_by_rows<MR>(acc, As + mine * PITCH, half, Hs + c, filled);
        else multiply_by_columns<MR>(acc, As + mine, rows + 4, half, Hs + c, filled);
        if (chunk < chunks - 1) continue;
        real* to = C + u / chunks / parts * cstep;
#pragma unroll
        for (int i = 0; i < MR; i++) {
            const int r = first_row + i % 4 + i / 4 * half;
            if (r >= R) continue;
#pragma unroll
            for (int q = 0; q < MC / 4; q++)
                store(to + r * NB + c + q * (NB / 2), vec(acc[i][4 * q], acc[i][4 * q + 1], acc[i][4 * q + 2], acc[i][4 * q + 3]));
        }
    }
    __syncthreads();
}

// C[r, c] = bias[r] + base[r, c] + sum over terms of A(r, k) H[k, c]. Each thread computes TM rows and 4 columns; neighbouring threads have
// the same rows, so that A is broadcast to them. `first` stands for the H of the first term, of which there may be several pages, each with a
// C of its own, cstep numbers apart. bias: (R), base and C: (R, NB).
template <int TM, int TERMS, class X>
DEVICE void product_of(int pages, int R, const Term* term, X first, const real* bias, const real* base, real* C, int cstep) {
    if (TERMS && STAGES_PRODUCTS && NB % MC == 0 && NB <= 128 && R * NB >= 2 * MC * THREADS) {
        if (R > THREADS / COLS * 4) staged_product<8, TERMS ? TERMS : 1>(pages, R, term, first, bias, base, C, cstep);
        else staged_product<4, TERMS ? TERMS : 1>(pages, R, term, first, bias, base, C, cstep);
        return;
    }
    __syncthreads();
    const int tiles = (R + TM - 1) / TM * GROUPS;
#pragma unroll 1
    for (int u = here(threadIdx.x); u < pages * tiles; u += THREADS) {
        const int page = pages == 1 ? 0 : u / tiles, w = u - page * tiles, c = w % GROUPS * 4, r0 = w / GROUPS * TM;
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
            if (q == 0) accumulate(acc, term[q].A, at, term[q].col, term[q].K, first(page), c);
            else accumulate(acc, term[q].A, at, term[q].col, term[q].K, Rows{term[q].H}, c);
        }
#pragma unroll
        for (int i = 0; i < TM; i++)
            if (r0 + i < R) store(C + page * cstep + (r0 + i) * NB + c, vec(acc[i][0], acc[i][1], acc[i][2], acc[i][3]));
    }
    __syncthreads();
}
template <int TM, int TERMS>
DEVICE void product(int R, const Term* term, const real* bias, const real* base, real* C) {
    product_of<TM, TERMS>(1, R, term, Rows{TERMS ? term[0].H : nullptr, 0}, bias, base, C, 0);
}
// One matrix times each of `pages` others, hstep numbers apart.
template <int TM>
DEVICE void products(int pages, int R, const Term& term, int hstep, const real* bias, real* C, int cstep) {
    product_of<TM, 1>(pages, R, &term, Rows{term.H, hstep}, bias, nullptr, C, cstep);
}

// ---- sums over samples ----------------------------------------------------------------------------------------------------
DEVICE float warp_sum(float x) {
#pragma unroll
    for (int m = 16; m; m /= 2) x += __shfl_xor_sync(0xffffffffu, x, m);
    return x;
}

// Sums each of 2 HALF values over as many lanes of a warp: afterwards v[0] of lane l is the sum of value l % (2 HALF) over its neighbours.
template <int HALF>
DEVICE void fold(float* v) {
    if constexpr (HALF > 0) {
        const bool up = LANE & HALF;
#pragma unroll
        for (int i = 0; i < HALF; i++) {
            const float keep = up ? v[i + HALF] : v[i], give = up ? v[i] : v[i + HALF];
            v[i] = keep + __shfl_xor_sync(0xffffffffu, give, HALF);
        }
        fold<HALF / 2>(v);
    }
}
// Sums each of 16 values over the lanes of a warp: lane l returns the sum of value l % 16.
DEVICE float reduce16(float* v) {
    fold<8>(v);
    return v[0] + __shfl_xor_sync(0xffffffffu, v[0], 16);
}

// acc += the sum over four samples, one fused operation each
DEVICE void add_product(float& acc, V a, V b) { acc += a.x * b.x, acc += a.y * b.y, acc += a.z * b.z, acc += a.w * b.w; }

// The same as gradient_of, for large matrices: a thread computes 8 x 8 numbers of a part of G, rows/8 and cols/8 apart, and the block stages
// STAGE samples at a time, copying the next ones meanwhile.
template <class AT>
DEVICE void staged_gradient(int R, int K, int T, const real* D, int dstep, AT x_at, real* G) {
    DYNAMIC_SHARED(stage);
    const int cols = in_parts(K, WIDTH / 2, 8), fitting = THREADS / (cols / 8) * 8, room = WIDTH - cols;
    const int rows = in_parts(R, fitting < room ? fitting : room, 8), parts = parts_of(R, rows) * parts_of(K, cols), chunks = T * (NB / STAGE);
    const int k_mine = threadIdx.x % (cols / 8), r_mine = threadIdx.x / (cols / 8);
    const bool works = r_mine < rows / 8;
    const auto begin_copies = [=](int part, int chunk, int buffer) {
        real *Ds = stage + buffer * GRADIENT_STAGE, *Xs = Ds + rows * PITCH;
        const int t = chunk / (NB / STAGE), b0 = chunk % (NB / STAGE) * STAGE, r0 = part / parts_of(K, cols) * rows, k0 = part % parts_of(K, cols) * cols;
        const auto x = x_at(t);
#pragma unroll 2
        for (int j = here(threadIdx.x); j < (rows + cols) * (STAGE / 4); j += THREADS) {
            const int r = j / (STAGE / 4), b = j % (STAGE / 4) * 4, k = r - rows;
            if (r < rows) copy16(Ds + r * PITCH + b, D + t * dstep + (r0 + r) * NB + b0 + b, r0 + r < R);
            else x.stage(Xs + k * PITCH + b, k0 + k, b0 + b, k0 + k < K);
        }
    };
    float acc[8][8];
    __syncthreads();
    begin_copies(0, 0, 0);
    int part = 0, chunk = 0;
#pragma unroll 1
    for (int u = 0; u < parts * chunks; u++) {
        const int next = chunk + 1 < chunks ? chunk + 1 : 0;
        wait_for_copies();
        __syncthreads();
        if (u + 1 < parts * chunks) begin_copies(next ? part : part + 1, next, (u + 1) % 2);
        if (works) {
            const real *Ds = stage + u % 2 * GRADIENT_STAGE + r_mine * PITCH, *Xs = stage + u % 2 * GRADIENT_STAGE + (rows + k_mine) * PITCH;
            if (chunk == 0)
#pragma unroll
                for (int i = 0; i < 64; i++) acc[i / 8][i % 8] = 0.f;
#pragma unroll 1
            for (int b = 0; b < STAGE; b += 4) {
                V d[8];
#pragma unroll
                for (int i = 0; i < 8; i++) d[i] = load(Ds + i * (rows / 8) * PITCH + b);
#pragma unroll
                for (int j = 0; j < 8; j++) {
                    const V x = load(Xs + j * (cols / 8) * PITCH + b);
#pragma unroll
                    for (int i = 0; i < 8; i++) add_product(acc[i][j], d[i], x);
                }
            }
            if (!next)
#pragma unroll
                for (int i = 0; i < 64; i++) {
                    const int r = part / parts_of(K, cols) * rows + here(r_mine) + i / 8 * (rows / 8), k = part % parts_of(K, cols) * cols + k_mine + i % 8 * (cols / 8);
                    if (r < R && k < K) G[r * K + k] = acc[i / 8][i % 8];
                }
        }
        part += !next, chunk = next;
    }
    __syncthreads();
}

// G[r, k] = sum over t, b of D_t[r, b] X_t[k, b]. Each warp computes 4 x 4 numbers; its lanes divide steps and samples among themselves.
// D_t: (R, NB), dstep numbers apart; x_at(t): (K, NB); G: (R, K).
template <class AT>
DEVICE void gradient_of(int R, int K, int T, const real* D, int dstep, AT x_at, real* G) {
    if (STAGE && NB % STAGE == 0 && R * K >= 2048) return staged_gradient(R, K, T, D, dstep, x_at, G);
    __syncthreads();
    const int tk = (K + 3) / 4, tiles = (R + 3) / 4 * tk;
#pragma unroll 1
    for (int w = here(WARP); w < tiles; w += WARPS) {
        const int r0 = w / tk * 4, k0 = w % tk * 4;
        float acc[16];
#pragma unroll
        for (int i = 0; i < 16; i++) acc[i] = 0.f;
#pragma unroll 2
        for (int u = here(LANE); u < T * GROUPS; u += 32) {
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
                for (int j = 0; j < 4; j++) add_product(acc[i * 4 + j], d[i], h[j]);
        }
        const float sum = reduce16(acc);
        const int r = r0 + LANE % 16 / 4, k = k0 + LANE % 4;
        if (LANE < 16 && r < R && k < K) G[r * K + k] = sum;
    }
    __syncthreads();
}
DEVICE void matrix_gradient(int R, int K, int T, const real* D, int dstep, const real* H, int hstep, real* G) {
    gradient_of(R, K, T, D, dstep, Rows{H, hstep}, G);
}

// G[r] = sum over t, b of D_t[r, b]; one warp per row.
DEVICE void row_sums(int R, int T, const real* D, int dstep, real* G) {
    __syncthreads();
#pragma unroll 1
    for (int r = here(WARP); r < R; r += WARPS) {
        float s = 0.f;
        for (int u = here(LANE); u < T * GROUPS; u += 32) {
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
// The symbols of a thread's sample: if threads are a multiple of samples, each has one.
constexpr bool ONE_SAMPLE = THREADS % NB == 0 && STREAMS <= 16;
struct Symbols {
    int of[STREAMS];
};
DEVICE Symbols symbols_at(const int32_t* symbols) {  // symbols: (STREAMS, NB)
    Symbols k;
#pragma unroll
    for (int m = 0; m < STREAMS; m++) k.of[m] = ONE_SAMPLE ? symbols[m * NB + threadIdx.x % NB] : 0;
    return k;
}
// out[r, b] = bias[r] + sum over streams of A[r, symbol of sample b], without a barrier. `mine` are the symbols of the thread's sample.
// A: (R, I), symbols: (STREAMS, NB), bias: (R), out: (R, NB).
DEVICE void gather(int R, int I, const real* A, const Symbols& mine, const int32_t* symbols, const real* bias, real* out) {
    if (!ONE_SAMPLE) {
        LANES(j, R * NB) {
            float s = bias ? bias[j / NB] : 0.f;
            for (int m = 0; m < STREAMS; m++) s += A[j / NB * I + symbols[m * NB + j % NB]];
            out[j] = s;
        }
        return;
    }
#pragma unroll 2
    for (int r = threadIdx.x / NB; r < R; r += THREADS / NB) {
        float s = bias ? bias[r] : 0.f;
#pragma unroll
        for (int m = 0; m < STREAMS; m++) s += A[r * I + mine.of[m]];
        out[r * NB + threadIdx.x % NB] = s;
    }
}
// Adds one step: of STREAMS * NB symbols, a warp takes those whose remainder modulo WARPS is its own. Ds has the samples' numbers for this lane,
// STRIDE apart.
DEVICE void add_symbols(real* sums, const real* Ds, const int32_t* symbols) {
#pragma unroll 1
    for (int i = 0; i < STREAMS * NB; i += 32) {
        const int symbol = i + LANE < STREAMS * NB ? symbols[i + LANE] : -1;
        unsigned mine = __ballot_sync(0xffffffffu, symbol >= 0 && symbol % WARPS == WARP);
        while (mine) {
            const int lane = __ffs(mine) - 1, k = __shfl_sync(0xffffffffu, symbol, lane);
            mine &= mine - 1;
            sums[k * 32] += Ds[(i + lane) % NB * STRIDE];
        }
    }
}

// G[r, k] = sum of D_t[r, b] over the t, b and streams whose symbol is k. Rows are taken 32 at a time, one per lane, and each warp adds to
// the symbols of its own, so that the order of the sums is always the same, which atomic additions would not guarantee. The sums and the
// numbers of one step are staged.
// D_t: (R, NB), symbols: (T, STREAMS, NB), G: (R, I).
DEVICE void scatter(int R, int I, int T, const real* D, int dstep, const int32_t* symbols, real* G) {
    DYNAMIC_SHARED(stage);
    constexpr int NEXT = (32 * NB + THREADS - 1) / THREADS;
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
                const int j = here(threadIdx.x) + q * THREADS;
                next[q] = t + 1 < T && j < rows * NB ? D[(t + 1) * dstep + r0 * NB + j] : 0.f;
            }
            if (t >= 0) add_symbols(sums + LANE, Ds + LANE, symbols + t * STREAMS * NB);
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

// sums[k * pitch] += d for four symbols k and their numbers d, in this order. Where the symbols differ, as they mostly do, no sum waits for
// another.
DEVICE void add_four(real* sums, int pitch, const int (&k)[4], const V (&d)[4]) {
    if (k[0] != k[1] && k[0] != k[2] && k[0] != k[3] && k[1] != k[2] && k[1] != k[3] && k[2] != k[3]) {
        V s[4];
#pragma unroll
        for (int j = 0; j < 4; j++) s[j] = load(sums + k[j] * pitch);
#pragma unroll
        for (int j = 0; j < 4; j++) store(sums + k[j] * pitch, s[j] + d[j]);
    } else {
#pragma unroll
        for (int j = 0; j < 4; j++) store(sums + k[j] * pitch, load(sums + k[j] * pitch) + d[j]);
    }
}

// The same as scatter, where no two streams have a symbol in common. ROWS rows are taken at a time, a multiple of four up to 32, four per lane, and
// the lanes of a warp share several streams among themselves, so that each sum has one lane that adds to it. The sums are staged, and of two
// steps the numbers and symbols: one is copied while the other is added.
template <int ROWS>
DEVICE void scatter_streams(int R, int I, int T, const real* D, int dstep, const int32_t* symbols, real* G) {
    DYNAMIC_SHARED(stage);
    constexpr int Q = ROWS / 4, LANES_OF_STREAM = Q > 4 ? 8 : Q > 2 ? 4 : Q, FITTING = 32 / LANES_OF_STREAM, EVEN = (STREAMS + WARPS - 1) / WARPS;
    constexpr int SIDE = FITTING < EVEN ? FITTING : EVEN, STEP = (ROWS + STREAMS) * APART;
    real *sums = stage, *steps = stage + I * ROWS;
    const int mine = LANE / LANES_OF_STREAM, q = LANE % LANES_OF_STREAM;
#pragma unroll 1
    for (int r0 = 0; r0 < R; r0 += ROWS) {
        const auto begin_copies = [=](int t) {
            real* to = steps + t % 2 * STEP;
#pragma unroll 2
            for (int j = here(threadIdx.x); j < (ROWS + STREAMS) * GROUPS; j += THREADS) {
                const int r = j / GROUPS, b = j % GROUPS * 4;
                if (r < ROWS) copy_near_or_far(to + r * APART + b, D + t * dstep + (r0 + r) * NB + b, r0 + r < R);
                else copy_near_or_far(to + r * APART + b, (const real*)symbols + (t * STREAMS + r - ROWS) * NB + b, true);
            }
        };
        __syncthreads();
        LANES(j, I * ROWS) sums[j] = 0.f;
        begin_copies(0);
#pragma unroll 1
        for (int t = 0; t < T; t++) {
            wait_for_copies();
            __syncthreads();
            if (t + 1 < T) begin_copies(t + 1);
            const real* Ds = steps + t % 2 * STEP + q * APART;
#pragma unroll 1
            for (int m = WARP * SIDE + mine; m < STREAMS && mine < SIDE && q < Q; m += WARPS * SIDE) {
                const int32_t* k_of = (const int32_t*)(steps + t % 2 * STEP + (ROWS + m) * APART);
#pragma unroll 1
                for (int b = 0; b < NB; b += 4) {
                    const int4 four = *(const int4*)(k_of + b);
                    const int k[4] = {four.x, four.y, four.z, four.w};
                    V row[4], d[4];  // rows q, q + Q, ... of four samples, and these as one vector per sample
#pragma unroll
                    for (int i = 0; i < 4; i++) row[i] = load(Ds + i * Q * APART + b);
#pragma unroll
                    for (int j = 0; j < 4; j++) d[j] = vec(number_of(row[0], j), number_of(row[1], j), number_of(row[2], j), number_of(row[3], j));
                    add_four(sums + q * 4, ROWS, k, d);
                }
            }
        }
        __syncthreads();
        const int rows = R - r0 < ROWS ? R - r0 : ROWS;
        LANES(j, rows * I) {
            const int r = j / I, k = j % I;
            G[(r0 + r) * I + k] = sums[k * ROWS + r % Q * 4 + r / Q];
        }
    }
    __syncthreads();
}
