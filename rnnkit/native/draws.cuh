// Batches of the tasks, made by a block of threads for itself: those of batches.cpp, and so of the tasks in Python, bit for bit.
// DRAW says which task's; NI, NT, NB, STREAMS and NS are its sizes.
#pragma once
#include "philox.h"

enum Kind { MEMORY_TASK, FUNCTION_TASK, TEXT_TASK, PARENTHESES_TASK, ARITHMETIC_TASK };

struct Source {  // batches.py's Fields
    int64_t kind, seed, stream;
    int64_t batch, n_in, steps, scored;
    int64_t types, cap;
    int64_t problem, most, first_tenth, last_tenth;
    int64_t samples;
    const void* data;
    const float* answers;
    const double* sums;
    const int64_t* guide;
};
constexpr int GUIDE = 1 << 12;

// Word i of `count` is output i / Q of the block with index i % Q, Q = ceil(count / 4).
DEVICE word32 word_of(const Source& s, word64 number, int count, int i) {
    const int Q = (count + 3) / 4;
    return philox((word64)s.seed, (word32)s.stream, number, (word32)(i % Q)).at[i / Q];
}

// Halves of words: `each(i, half)` for i = 0 ... count - 1, in which thread no matter.
template <class F>
DEVICE void halves(const Source& s, word64 number, int count, F each) {
    const int words = count / 2, Q = (words + 3) / 4;
    LANES(j, Q) {
        const Words w = philox((word64)s.seed, (word32)s.stream, number, (word32)j);
#pragma unroll
        for (int k = 0; k < 4; k++) {
            const int i = k * Q + j;
            if (i >= words) continue;
            each(2 * i, (int)(short)(w.at[k] & 0xffff));
            each(2 * i + 1, (int)(short)(w.at[k] >> 16));
        }
    }
}

// x: NI x NB numbers, the targets too
DEVICE void draw_memory(const Source& s, word64 number, real* x) {
    halves(s, number, NI * NB, [=](int i, int half) { x[i] = ((float)half + 0.5f) * (float)(1.7320508075688772 / 32768); });
}

// x: NI x NB, y: NB
DEVICE void draw_function(const Source& s, word64 number, real* x, real* y) {
    LANES(b, NB) {
        const double u = ((double)(int32_t)word_of(s, number, NB, b) + (2147483648.0 + 0.5)) * 2.3283064365386963e-10;
        const int part = (int)(u * GUIDE);
        int64_t low = s.guide[part], high = s.guide[part + 1];
        while (low < high) {
            const int64_t middle = (low + high) / 2;
            if (s.sums[middle] < u) low = middle + 1;
            else high = middle;
        }
        if (low >= s.samples) low = s.samples - 1;
        const float* row = (const float*)s.data + low * NI;
        for (int i = 0; i < NI; i++) x[i * NB + b] = row[i];
        y[b] = s.answers[low];
    }
}

// x: NT x NB, y: NS x NB symbols
DEVICE void draw_text(const Source& s, word64 number, int32_t* x, int32_t* y) {
    LANES(b, NB) {
        const unsigned char* window = (const unsigned char*)s.data + below(word_of(s, number, NB, b) ^ 0x80000000u, (word64)s.samples);
        for (int t = 0; t <= NT; t++) {
            const int32_t symbol = window[t] > 96 ? window[t] - 96 : 0;  // a is 97 in ASCII
            if (t < NT) x[t * NB + b] = symbol;
            if (t > NT - NS) y[(t - 1 - (NT - NS)) * NB + b] = symbol;
        }
    }
}

// x: NT x STREAMS x NB symbols, offset by stream; y: STREAMS x NB counts
DEVICE void draw_parentheses(const Source& s, word64 number, int32_t* x, int32_t* y) {
    constexpr int J = STREAMS;
    halves(s, number, NT * J * NB, [=](int i, int half) { x[i] = parenthesis(half + 32768, J) + i / NB % J * 3 * J; });
    __syncthreads();
    const int cap = (int)s.cap;
    LANES(i, J * NB) {
        const int j = i / NB, opens = j * 3 * J + 2 * j;
        int count = 0;
        for (int t = 0; t < NT; t++) {
            const int symbol = x[t * J * NB + i], now = count + (symbol == opens) - (symbol == opens + 1), least = now < 0 ? 0 : now;
            count = least > cap ? cap : least;
        }
        y[i] = count;
    }
}

// Writes a number's symbols from `end` leftwards, a row of NB symbols each; returns how many.
DEVICE int written(int value, int32_t* end) {
    unsigned size = value < 0 ? -value : value;
    int length = 0;
    do {
        end[-(length++) * NB] = size % 10;
        size /= 10;
    } while (size);
    if (value < 0) end[-(length++) * NB] = 11;  // minus
    return length;
}

// x: NT x NB, y: NS x NB symbols: digits, blank 10, minus, plus 12, equals 13
DEVICE void draw_arithmetic(const Source& s, word64 number, int32_t* x, int32_t* y) {
    LANES(i, NT * NB) x[i] = 10;
    LANES(i, NS * NB) y[i] = 10;
    __syncthreads();
    LANES(b, NB) {
        int first, second;
        draw_pair((word64)s.seed, (word32)s.stream, number, b, NB, (int)s.most, (int)s.first_tenth, (int)s.last_tenth, first, second);
        int32_t* place = x + (s.problem - 1) * NB + b;
        *place = 13;
        place -= NB;
        place -= written(second, place) * NB;
        *place = 12;
        written(first, place - NB);
        written(first + second, y + (NS - 1) * NB + b);
    }
}

DEVICE void draw(const Source& s, word64 number, void* x, void* y) {
    if (DRAW == MEMORY_TASK) draw_memory(s, number, (real*)x);
    if (DRAW == FUNCTION_TASK) draw_function(s, number, (real*)x, (real*)y);
    if (DRAW == TEXT_TASK) draw_text(s, number, (int32_t*)x, (int32_t*)y);
    if (DRAW == PARENTHESES_TASK) draw_parentheses(s, number, (int32_t*)x, (int32_t*)y);
    if (DRAW == ARITHMETIC_TASK) draw_arithmetic(s, number, (int32_t*)x, (int32_t*)y);
    __syncthreads();
}
