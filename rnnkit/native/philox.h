// Random words as draws.py defines them, bit for bit: Philox4x32-10 (Salmon, Moraes, Dror & Shaw 2011), whose key is the seed and whose
// counter is (index, stream, number). And what a task makes of single words. For processors and GPUs; it needs no other header.

#pragma once
#ifdef __CUDACC__
#define ANYWHERE static __host__ __device__ inline
#else
#define ANYWHERE static inline
#endif

typedef unsigned int word32;
typedef unsigned long long word64;

struct Words {
    word32 at[4];
};

// One round on four words of counter, in place; `k` and `l` are the round's key. Whole is word32, or word64 with a word in its lower half.
template <class Whole>
ANYWHERE void philox_round(Whole& a, Whole& b, Whole& c, Whole& d, word32 k, word32 l) {
    const word64 p = (word64)(word32)a * 0xD2511F53u, q = (word64)(word32)c * 0xCD9E8D57u;
    a = (Whole)(q >> 32) ^ b ^ k;
    b = (Whole)q;
    c = (Whole)(p >> 32) ^ d ^ l;
    d = (Whole)p;
}

// The block of four words with an index, for a stream and a number of a seed.
ANYWHERE Words philox(word64 seed, word32 stream, word64 number, word32 index) {
    Words w = {{index, stream, (word32)number, (word32)(number >> 32)}};
    word32 k = (word32)seed, l = (word32)(seed >> 32);
    for (int round = 0; round < 10; round++, k += 0x9E3779B9u, l += 0xBB67AE85u) philox_round(w.at[0], w.at[1], w.at[2], w.at[3], k, l);
    return w;
}

// A word as a whole number below n, all (nearly) equally often.
ANYWHERE word64 below(word32 word, word64 n) { return word * n >> 32; }

// tasks/parentheses.py: 16 random bits, 0 ... 65535, as one of 3 `types` symbols, half of the time one of the first 2 `types`.
ANYWHERE int parenthesis(int bits, int types) {
    const int symbol = bits * 4 * types >> 16, noise = symbol - (2 * types - 1);
    return symbol - (noise > 0 ? noise >> 1 : 0);
}

// tasks/arithmetic.py: which tenth of all problems a + b belongs to.
ANYWHERE word32 mixed(word32 x) {
    x = (x ^ x >> 16) * 0x7FEB352Du;
    x = (x ^ x >> 15) * 0x846CA68Bu;
    return x ^ x >> 16;
}
ANYWHERE int tenth_of(int a, int b) {
    const int low = a < b ? a : b, high = a < b ? b : a;
    return (int)below(mixed(mixed((word32)low) + (word32)high), 10);
}
// The numbers of sample i of batch `number`, of `batch` samples: the first pair whose tenth lies in first ... last.
ANYWHERE void draw_pair(word64 seed, word32 stream, word64 number, int i, int batch, int most, int first, int last, int& a, int& b) {
    const word64 n = 2 * (word64)most + 1;
    for (word32 index = i;; index += batch) {
        const Words w = philox(seed, stream, number, index);
        for (int at = 0; at < 4; at += 2) {
            a = (int)below(w.at[at], n) - most;
            b = (int)below(w.at[at + 1], n) - most;
            const int tenth = tenth_of(a, b);
            if (first <= tenth && tenth <= last) return;
        }
    }
}
