// Batches of the tasks, one at a time, so that a batch is read while it still lies in the cache. The tasks in Python are the reference:
// every number and symbol here is theirs, bit for bit.
// REAL is float, or double for the tests (the same floats as doubles). Compiled by batches.py.

#include <vector>

#include "philox.h"
#include "products.h"

enum Kind { MEMORY, FUNCTION, TEXT, PARENTHESES, ARITHMETIC };

// What a task draws from: the fields of batches.py's Fields, in their order.
struct Source {
    int64_t kind, seed, stream;
    int64_t batch, n_in, steps, scored;  // as the task names them
    int64_t types, cap;                  // parentheses
    int64_t problem, most, first_tenth, last_tenth;  // arithmetic
    int64_t samples;        // rows of the table, or places of the text where a window may start
    const void* data;       // table: samples x n_in floats; text: one byte a letter, from the first such place on
    const float* answers;   // of the table
    const double* sums;     // running sums of the table's weights
    const int64_t* guide;   // how many of the sums lie below each GUIDE-th part of 1: GUIDE + 1 numbers
};
constexpr int LANES = 32, GUIDE = 1 << 12;

// The words of a batch: word w Q + j is output w of the block with index j, Q = ceil(count / 4). LANES blocks pass the rounds together;
// 64-bit lanes with a word in each lower half suit the vector product of 32 by 32 bits.
static const word32* drawn(const Source& s, word64 number, long count) {
    static thread_local std::vector<word32> words;
    const long run = (count + 3) / 4;
    if ((long)words.size() < 4 * run) words.resize(4 * run);
    for (long j = 0; j < run; j += LANES) {
        word64 lane[4][LANES];
        for (int i = 0; i < LANES; i++) {
            lane[0][i] = j + i;
            lane[1][i] = s.stream;
            lane[2][i] = (word32)number;
            lane[3][i] = number >> 32;
        }
        word32 k = (word32)s.seed, l = (word32)((word64)s.seed >> 32);
        for (int round = 0; round < 10; round++, k += 0x9E3779B9u, l += 0xBB67AE85u)
            for (int i = 0; i < LANES; i++) philox_round(lane[0][i], lane[1][i], lane[2][i], lane[3][i], k, l);
        const int wanted = run - j < LANES ? (int)(run - j) : LANES;
        for (int w = 0; w < 4; w++) {
            word32 narrow[LANES];
            for (int i = 0; i < LANES; i++) narrow[i] = (word32)lane[w][i];
            std::memcpy(words.data() + w * run + j, narrow, wanted * sizeof(word32));
        }
    }
    return words.data();
}

// x: n_in x batch numbers, the targets too.
static void memory(const Source& s, word64 number, real* x, real* y) {
    const long count = s.n_in * s.batch;
    const float scale = (float)(std::sqrt(3.0) / 32768);
    const int16_t* half = (const int16_t*)drawn(s, number, count / 2);
    for (long i = 0; i < count; i++) x[i] = ((float)half[i] + 0.5f) * scale;
    std::memcpy(y, x, count * sizeof(real));
}

// x: n_in x batch, y: 1 x batch. The sample is the first whose running sum is not below a uniform number. Rows of the table lie anywhere, so
// all are asked for before the first is read.
static void function(const Source& s, word64 number, real* x, real* y) {
    const word32* words = drawn(s, number, s.batch);
    static thread_local std::vector<const float*> rows;
    rows.resize(s.batch);
    for (long b = 0; b < s.batch; b++) {
        const double u = ((double)(int32_t)words[b] + (2147483648.0 + 0.5)) * 0x1p-32;
        const int part = (int)(u * GUIDE);
        int64_t low = s.guide[part], left = s.guide[part + 1] - low;
        while (left > 0) {  // without a branch that nobody can foresee
            const int64_t half = left / 2;
            const bool beyond = s.sums[low + half] < u;
            low += beyond ? half + 1 : 0;
            left = beyond ? left - half - 1 : half;
        }
        if (low >= s.samples) low = s.samples - 1;
        rows[b] = (const float*)s.data + low * s.n_in;
        for (long i = 0; i < s.n_in; i += 16) __builtin_prefetch(rows[b] + i);
        y[b] = s.answers[low];
    }
    long i = 0;
    if constexpr (sizeof(real) == sizeof(float))
        for (; i + VW <= s.n_in; i += VW)
            for (long b = 0; b < s.batch; b += VW) {
                V v[VW];
                for (int k = 0; k < VW; k++) v[k] = load((const real*)rows[b + k] + i);
                transpose(v);
                for (int k = 0; k < VW; k++) store(x + (i + k) * s.batch + b, v[k]);
            }
    for (; i < s.n_in; i++)
        for (long b = 0; b < s.batch; b++) x[i * s.batch + b] = rows[b][i];
}

// x: steps x batch, y: scored x batch symbols.
static void text(const Source& s, word64 number, int32_t* x, int32_t* y) {
    const word32* words = drawn(s, number, s.batch);
    const unsigned char* letters = (const unsigned char*)s.data;
    const long unscored = s.steps - s.scored;
    for (long b = 0; b < s.batch; b++) {
        const unsigned char* window = letters + below(words[b] ^ 0x80000000u, s.samples);
        for (long t = 0; t <= s.steps; t++) {
            const int32_t symbol = window[t] > 96 ? window[t] - 96 : 0;  // a is 97 in ASCII
            if (t < s.steps) x[t * s.batch + b] = symbol;
            if (t > unscored) y[(t - 1 - unscored) * s.batch + b] = symbol;
        }
    }
}

// x: steps x types x batch symbols, offset by stream; y: types x batch counts.
static void parentheses(const Source& s, word64 number, int32_t* x, int32_t* y) {
    const int B = (int)s.batch, J = (int)s.types, cap = (int)s.cap;
    const int16_t* half = (const int16_t*)drawn(s, number, s.steps * J * B / 2);
    std::memset(y, 0, J * B * sizeof(int32_t));
    for (long t = 0; t < s.steps; t++)
        for (int j = 0; j < J; j++, half += B, x += B) {
            int32_t* count = y + j * B;
            for (int b = 0; b < B; b++) {
                const int symbol = parenthesis(half[b] + 32768, J);
                const int now = count[b] + (symbol == 2 * j) - (symbol == 2 * j + 1), least = now < 0 ? 0 : now;
                count[b] = least > cap ? cap : least;
                x[b] = symbol + j * 3 * J;
            }
        }
}

enum Symbol { BLANK = 10, MINUS = 11, PLUS = 12, EQUALS = 13 };

// Writes a number's symbols from `end` leftwards, a row of `batch` symbols each; returns how many.
static int written(int value, int32_t* end, long batch) {
    unsigned size = value < 0 ? -value : value;
    int length = 0;
    do {
        end[-(length++) * batch] = size % 10;
        size /= 10;
    } while (size);
    if (value < 0) end[-(length++) * batch] = MINUS;
    return length;
}

// x: steps x batch, y: scored x batch symbols.
static void arithmetic(const Source& s, word64 number, int32_t* x, int32_t* y) {
    const long B = s.batch;
    for (long i = 0; i < s.steps * B; i++) x[i] = BLANK;
    for (long i = 0; i < s.scored * B; i++) y[i] = BLANK;
    for (long b = 0; b < B; b++) {
        int first, second;
        draw_pair(s.seed, (word32)s.stream, number, (int)b, (int)B, (int)s.most, (int)s.first_tenth, (int)s.last_tenth, first, second);
        int32_t* place = x + (s.problem - 1) * B + b;
        *place = EQUALS;
        place -= B;
        place -= written(second, place, B) * B;
        *place = PLUS;
        written(first, place - B, B);
        written(first + second, y + (s.scored - 1) * B + b, B);
    }
}

extern "C" void make_batch(const void* source, int64_t number, void* inputs, void* targets) {
    const Source& s = *(const Source*)source;
    switch (s.kind) {
        case MEMORY: return memory(s, number, (real*)inputs, (real*)targets);
        case FUNCTION: return function(s, number, (real*)inputs, (real*)targets);
        case TEXT: return text(s, number, (int32_t*)inputs, (int32_t*)targets);
        case PARENTHESES: return parentheses(s, number, (int32_t*)inputs, (int32_t*)targets);
        case ARITHMETIC: return arithmetic(s, number, (int32_t*)inputs, (int32_t*)targets);
    }
}

// Batches with these numbers one after another, `input_bytes` and `target_bytes` each.
extern "C" void make_batches(const void* source, int64_t K, const int64_t* number_K, void* inputs, int64_t input_bytes, void* targets,
                             int64_t target_bytes) {
    for (int64_t k = 0; k < K; k++) make_batch(source, number_K[k], (char*)inputs + k * input_bytes, (char*)targets + k * target_bytes);
}
