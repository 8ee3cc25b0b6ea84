// One training step of one network, in the machine's own vectors: forward, gradient of the loss, backward through time, clipping, update.
// A model's whole step stays in the first two cache levels, which is why one model after another is faster here than any batched product.
//
// Invariant: a step changes theta, m and v as training.rule.update says, up to rounding, and depends on nothing but the model's own state,
// its coefficients and its batch. The equations of the cell come from cell.inc, which trace.py writes from the Python class; this file knows
// none of them. Layout: activations are (units, batch), weights are (out, in), and theta has the blocks of networks.blocks.
// REAL is float, or double for the tests. Compiled by rnnkit/native/__init__.py.

#include <cstdlib>
#include <new>

#include "products.h"

// ---- the cell ------------------------------------------------------------------------------------------------------------
// One step of one layer: what the generated functions read and write. Arrays without a shape are (N, B); K is the number of maps.
struct Cell {
    int N, B;
    const real *Wx, *Wh, *b;  // (K N, inputs), (K N, N), (K N)
    int inputs;
    const real* ax;           // (K N, B), W x of the task's input; null at a step where it is not shown
    const real* x;            // (inputs, B), what the layer below sends up; null where the input is the task's
    const real* const* s;     // states before the step
    real* const* s_next;      // states after the step
    real* up;                 // what goes up
    real* pre;                // (K N, B), results of the maps
    real* const* save;        // values that the backward pass reads again
    real* const* arg;         // arguments of the maps that do not read the state itself
    real* d_pre;              // (K N, B), adjoint of pre
    real* const* d_s;         // on entry the adjoint of the states after the step, on return that of the states before
    const real* d_up;         // adjoint of up
    real* d_x;                // (inputs, B), adjoint of x; null where the input is the task's
    real* d_arg;              // scratch
    bool relu;                // whether s is ReLU
};

// The maps map ... map + maps - 1 of the state or argument h: pre = W^h h + W^x x + b. h: (N, B)
static inline void affine(const Cell& c, int map, int maps, const real* h) {
    const int R = maps * c.N;
    const Term terms[2] = {{c.Wh + (long)map * c.N * c.N, c.N, 1, h, c.N}, {c.Wx + (long)map * c.N * c.inputs, c.inputs, 1, c.x, c.inputs}};
    product(R, c.x ? 2 : 1, terms, c.b + map * c.N, c.ax ? c.ax + (long)map * c.N * c.B : nullptr, c.pre + (long)map * c.N * c.B, c.B);
}
// The same for maps that read the input alone: pre = W^x x + b.
static inline void affine_of_input(const Cell& c, int map, int maps) {
    const Term term = {c.Wx + (long)map * c.N * c.inputs, c.inputs, 1, c.x, c.inputs};
    product(maps * c.N, c.x ? 1 : 0, &term, c.b + map * c.N, c.ax ? c.ax + (long)map * c.N * c.B : nullptr, c.pre + (long)map * c.N * c.B, c.B);
}
// The adjoint of their argument: d_h = base + (W^h)' d_pre. base and d_h: (N, B); base may be null.
static inline void affine_adjoint(const Cell& c, int map, int maps, const real* base, real* d_h) {
    const Term term = {c.Wh + (long)map * c.N * c.N, 1, c.N, c.d_pre + (long)map * c.N * c.B, maps * c.N};
    product(c.N, 1, &term, nullptr, base, d_h, c.B);
}

#include "cell.inc"
// cell.inc defines: constexpr int MAPS, RECURRENT (the first so many maps have a recurrent matrix), STATES, SAVES, ARGS; constexpr bool
// UP_IS_STATE, READS_X, EQUAL_SIZES; MAP_ARG[MAPS] (what each map reads: -2 the input alone, -1 the first state, otherwise the number of an
// argument); template <bool RELU> cell_forward(const Cell&), cell_backward(const Cell&); and of the optimisers their number OPTIMIZERS,
// Coefficients, and change(k, g, m, v, c), which returns what is subtracted from a parameter (optimizers.py).
// It also has the enums Hyper (the columns of hp), Input and Loss (codes.py).

// ---- the network ---------------------------------------------------------------------------------------------------------
// The shape of a network and its task, and buffers for one model at work.
struct Net {
    int L, N, I, O, T, B;                // layers, units, inputs, outputs, time steps, samples per batch
    int input, streams, loss, heads, S;  // symbols per step, softmax heads, scored steps
    int first, steps;                    // of the model at work: its first scored step, and how many steps it runs (first + S)
    long P, matrices;                    // parameters; the first so many of them are in matrices
    // offsets into theta, in the order of networks.blocks
    long Wp, bp, Wo, bo;
    long *Wx, *Wh, *b, *h0;
    int top;  // rows of what the readout reads
    // buffers, all of them in the arena
    real* arena;
    real *x, *ax, *p, *d_p, *z, *dz, *sum_d, *grad;
    real *table, *d_table;                  // columns that symbols look up, and their gradient
    int input_rows, part_steps;             // rows of the matrix that reads the input; steps whose activations are used together
    const int32_t* symbols;                 // (T, streams, B), of the batch at work
    real **s, **save, **arg, **up, **d_up;  // one per layer, over all steps
    real *pre, *d_pre, *d_s, *d_arg;        // d_pre: over part_steps steps
    real* zeros;                            // (N, B)
    real* turned;                           // see matrix_gradient
    long n;                                 // N B
};

static int inputs_of(const Net& net, int l) { return l == 0 && !EQUAL_SIZES ? net.I : net.N; }
static bool on(const Net&, const double* hp, int t) { return t == 0 || hp[EVERY] != 0; }
static void begin(Net& net, const double* hp) {
    const double first = hp[FIRST_SCORED];  // bounded, so that no step beyond the last is read or written whatever it is
    net.first = first >= 0 && first <= net.T - net.S ? (int)first : net.T - net.S;
    net.steps = net.first + net.S;
}

// Makes a network, or returns null where there is no memory for it. The caller frees it with net_free.
extern "C" void* net_new(int L, int N, int I, int O, int T, int B, int input, int streams, int loss, int heads, int scored) {
    Net* net = new (std::nothrow) Net();
    if (!net) return nullptr;
    net->L = L; net->N = N; net->I = I; net->O = O; net->T = T; net->B = B;
    net->input = input; net->streams = streams; net->loss = loss; net->heads = heads; net->S = scored;
    net->first = T - scored; net->steps = T;
    net->input_rows = EQUAL_SIZES ? N : MAPS * N;
    const int part_steps = net->part_steps = steps_together(B) < T ? steps_together(B) : T;
    const long input_count = input == INDEX ? 0 : (long)I * B, table_count = input == INDEX ? table_size(net->input_rows, I) : 0;
    net->Wx = new long[4 * (L + 1)]; net->Wh = net->Wx + L + 1; net->b = net->Wh + L + 1; net->h0 = net->b + L + 1;
    net->s = new real*[5 * (L + 1)]; net->save = net->s + L + 1; net->arg = net->save + L + 1;
    net->up = net->arg + L + 1; net->d_up = net->up + L + 1;
    // offsets into theta: matrices first, then biases and initial states
    const bool project = EQUAL_SIZES && L > 0;
    long o = 0;
    net->Wp = o; if (project) o += (long)N * I;
    for (int l = 0; l < L; l++) {
        net->Wx[l] = o; o += (long)MAPS * N * inputs_of(*net, l);
        net->Wh[l] = o; o += (long)RECURRENT * N * N;
    }
    net->top = L ? N : I;
    net->Wo = o; o += (long)O * net->top;
    net->matrices = o;
    net->bp = o; if (project) o += N;
    for (int l = 0; l < L; l++) { net->b[l] = o; o += (long)MAPS * N; net->h0[l] = o; o += (long)STATES * N; }
    net->bo = o; o += O;
    net->P = o;
    // one block of memory for all buffers
    const long n = net->n = (long)N * B;
    const long per_layer = n * (STATES * (T + 1) + SAVES * T + ARGS * T + (UP_IS_STATE ? 0 : T) + T);
    const long turned_count = o >= LARGE ? turned_size(B) : 0;
    const long shared = input_count + (1 + copies(I)) * table_count + n * ((2 * part_steps + 2) * MAPS + 2 * T + STATES + 2) +
                        2 * (long)O * B * scored + o + turned_count + 1024;
    const size_t bytes = (sizeof(real) * (shared + L * per_layer) + 127) / 64 * 64;
    if (posix_memalign((void**)&net->arena, 64, bytes)) { delete[] net->Wx; delete[] net->s; delete net; return nullptr; }
    std::memset(net->arena, 0, bytes);
    real* a = net->arena;
    auto take = [&](long count) { real* r = a; a += (count + 15) / 16 * 16; return r; };
    net->x = take(input_count);
    net->table = take(table_count); net->d_table = take(table_count * copies(I));
    net->ax = take(n * MAPS * (input == INDEX ? part_steps : 1)); net->pre = take(n * MAPS); net->sum_d = take(n * MAPS);
    net->p = take(n * T); net->d_p = take(n * T);
    net->d_pre = take(n * MAPS * part_steps); net->d_s = take(n * STATES); net->d_arg = take(n); net->zeros = take(n);
    net->z = take((long)O * B * scored); net->dz = take((long)O * B * scored);
    net->grad = take(o);
    net->turned = take(turned_count);
    for (int l = 0; l < L; l++) {
        net->s[l] = take(n * STATES * (T + 1));
        net->save[l] = take(n * SAVES * T);
        net->arg[l] = take(n * ARGS * T);
        net->up[l] = UP_IS_STATE ? nullptr : take(n * T);
        net->d_up[l] = take(n * T);
    }
    return net;
}

extern "C" void net_free(void* handle) {
    Net* net = (Net*)handle;
    if (!net) return;
    std::free(net->arena);
    delete[] net->Wx;
    delete[] net->s;
    delete net;
}

static real* up_of(const Net& net, int l, int t) {
    return UP_IS_STATE ? net.s[l] + (long)(t + 1) * STATES * net.n : net.up[l] + t * net.n;
}

struct Pointers {
    real *s[STATES + 1], *s_next[STATES + 1], *save[SAVES + 1], *arg[ARGS + 1], *d_s[STATES + 1];
};

static Cell cell_at(const Net& net, const real* theta, const double* hp, int l, int t, Pointers& q) {
    const long n = net.n;
    for (int i = 0; i < STATES; i++) {
        q.s[i] = net.s[l] + (long)(t * STATES + i) * n;
        q.s_next[i] = net.s[l] + (long)((t + 1) * STATES + i) * n;
        q.d_s[i] = net.d_s + i * n;
    }
    for (int i = 0; i < SAVES; i++) q.save[i] = net.save[l] + (long)(t * SAVES + i) * n;
    for (int i = 0; i < ARGS; i++) q.arg[i] = net.arg[l] + (long)(t * ARGS + i) * n;
    Cell c;
    c.N = net.N; c.B = net.B;
    c.Wx = theta + net.Wx[l]; c.Wh = theta + net.Wh[l]; c.b = theta + net.b[l];
    c.inputs = inputs_of(net, l);
    const bool from_input = l == 0 && !EQUAL_SIZES;
    c.ax = from_input && (net.input == INDEX || on(net, hp, t)) ? net.ax + (net.input == INDEX ? t % net.part_steps * MAPS * n : 0) : nullptr;
    c.x = from_input ? nullptr : l == 0 ? net.p + t * n : up_of(net, l - 1, t);
    c.s = q.s; c.s_next = q.s_next;
    c.up = up_of(net, l, t);
    c.pre = net.pre; c.save = q.save; c.arg = q.arg;
    c.d_pre = net.d_pre + t % net.part_steps * MAPS * n;
    c.d_s = q.d_s; c.d_up = l == net.L - 1 && t < net.first ? net.zeros : net.d_up[l] + t * n;
    c.d_x = from_input ? nullptr : l == 0 ? net.d_p + t * n : net.d_up[l - 1] + t * n;
    c.d_arg = net.d_arg;
    c.relu = hp[RELU] != 0;
    return c;
}

// Repeats a column (N) for all samples: out (N, B).
static void fill_rows(const real* column, int N, int B, real* out) {
    for (int i = 0; i < N; i++)
        for (int b = 0; b < B; b += VW) store(out + (long)i * B + b, splat(column[i]));
}

static const int32_t* symbols_at(const Net& net, int t) { return net.symbols + (long)t * net.streams * net.B; }
static int steps_at(const Net& net, int t) { return net.steps - t < net.part_steps ? net.steps - t : net.part_steps; }

// The outputs net.z (S, O, B) at the scored steps, for the batch in net.x or net.symbols.
static void forward(Net& net, const real* theta, const double* hp) {  // theta: (P), hp: (HYPERS)
    begin(net, hp);
    const int L = net.L, N = net.N, B = net.B, T = net.steps;
    const long n = net.n;
    // what the first layer reads, for all steps at once where that is possible
    if (net.input == INDEX) by_columns(theta + (EQUAL_SIZES ? net.Wp : net.Wx[0]), net.input_rows, net.I, net.table);
    if (L > 0 && EQUAL_SIZES && net.input == INDEX) {
        gather(N, net.I, net.table, T, net.streams, net.symbols, theta + net.bp, net.p, n, B);
    } else if (L > 0 && EQUAL_SIZES) {
        const Term term = {theta + net.Wp, net.I, 1, net.x, net.I};
        product(N, 1, &term, theta + net.bp, nullptr, net.p, B);
        for (int t = 1; t < T; t++) {
            if (on(net, hp, t)) std::memcpy(net.p + t * n, net.p, n * sizeof(real));
            else fill_rows(theta + net.bp, N, B, net.p + t * n);
        }
    } else if (L > 0 && net.input != INDEX) {
        const Term term = {theta + net.Wx[0], net.I, 1, net.x, net.I};
        product(MAPS * N, 1, &term, nullptr, nullptr, net.ax, B);
    }
    // layer by layer, step by step
    Pointers q;
    for (int l = 0; l < L; l++) {
        fill_rows(theta + net.h0[l], STATES * N, B, net.s[l]);
        for (int t = 0; t < T; t++) {
            const Cell c = cell_at(net, theta, hp, l, t, q);
            if (net.input == INDEX && c.ax && t % net.part_steps == 0)
                gather(MAPS * N, net.I, net.table, steps_at(net, t), net.streams, symbols_at(net, t), nullptr, net.ax, MAPS * n, B);
            if (c.relu) cell_forward<true>(c); else cell_forward<false>(c);
        }
    }
    // the readout
    for (int s = 0; s < net.S; s++) {
        const Term term = {theta + net.Wo, net.top, 1, L ? up_of(net, L - 1, net.first + s) : net.x, net.top};
        product(net.O, 1, &term, theta + net.bo, nullptr, net.z + (long)s * net.O * B, B);
    }
}

// Adds the gradients of layer l's parameters from the steps t ... t + part_steps - 1, whose d_pre are in memory. To be called from the last
// steps to the first.
static void layer_gradient(Net& net, const double* hp, int l, int t) {
    const int N = net.N, B = net.B, steps = steps_at(net, t), rows = MAPS * N;
    const long n = net.n, dstep = MAPS * n;
    const bool add = t + steps < net.steps, from_input = l == 0 && !EQUAL_SIZES;
    const real *D = net.d_pre, *d_p = net.d_p + t * n;
    real* g = net.grad;
    // biases, then recurrent matrices: consecutive maps with the same argument are one product
    row_sums(rows, steps, D, dstep, B, g + net.b[l], add);
    for (int m = 0; m < RECURRENT;) {
        int run = 1;
        while (m + run < RECURRENT && MAP_ARG[m + run] == MAP_ARG[m]) run++;
        const long hstep = (MAP_ARG[m] < 0 ? STATES : ARGS) * n;
        const real* H = (MAP_ARG[m] < 0 ? net.s[l] : net.arg[l] + MAP_ARG[m] * n) + t * hstep;
        matrix_gradient(run * N, N, steps, D + m * n, dstep, H, hstep, B, g + net.Wh[l] + (long)m * N * N, net.turned, add);
        m += run;
    }
    if (!from_input) {
        const long hstep = l && UP_IS_STATE ? STATES * n : n;
        matrix_gradient(rows, N, steps, D, dstep, l ? up_of(net, l - 1, t) : net.p + t * n, hstep, B, g + net.Wx[l], net.turned, add);
    }
    // the matrix that reads the task's input; the same input at every step takes the sum over steps
    if (l > 0) return;
    if (EQUAL_SIZES) row_sums(N, steps, d_p, n, B, g + net.bp, add);
    real* to = g + (EQUAL_SIZES ? net.Wp : net.Wx[0]);
    if (EQUAL_SIZES) D = d_p;
    if (net.input == INDEX) {
        scatter(net.input_rows, net.I, D, net.input_rows * B, steps, net.streams, symbols_at(net, t), B, net.d_table);
        if (t == 0) by_rows(net.d_table, net.input_rows, net.I, to);
    } else if (on(net, hp, 1) || t == 0) {
        const bool every = on(net, hp, 1);
        sum_steps(net.input_rows * B, every ? steps : 1, D, net.input_rows * B, net.sum_d, every && add);
        if (t == 0) matrix_gradient(net.input_rows, net.I, 1, net.sum_d, 0, net.x, 0, B, to, net.turned);
    }
}

// The gradient of sum(dz * z) with respect to theta, into net.grad. Reads what forward has left in the buffers.
static void backward(Net& net, const real* theta, const double* hp) {
    const int L = net.L, N = net.N, B = net.B, T = net.steps, O = net.O, S = net.S;
    const long n = net.n, up_step = UP_IS_STATE ? STATES * n : n, out_step = (long)O * B;
    real* g = net.grad;
    matrix_gradient(O, net.top, S, net.dz, out_step, L ? up_of(net, L - 1, net.first) : net.x, up_step, B, g + net.Wo, net.turned);
    row_sums(O, S, net.dz, out_step, B, g + net.bo);
    for (int s = 0; L > 0 && s < S; s++) {
        const Term term = {theta + net.Wo, 1, net.top, net.dz + s * out_step, O};
        product(N, 1, &term, nullptr, nullptr, net.d_up[L - 1] + (net.first + s) * n, B);
    }
    if (net.input == INDEX) std::memset(net.d_table, 0, table_size(net.input_rows, net.I) * copies(net.I) * sizeof(real));
    Pointers q;
    for (int l = L - 1; l >= 0; l--) {
        std::memset(net.d_s, 0, STATES * n * sizeof(real));
        for (int t = T - 1; t >= 0; t--) {
            const Cell c = cell_at(net, theta, hp, l, t, q);
            if (c.relu) cell_backward<true>(c); else cell_backward<false>(c);
            if (c.d_x) {
                const Term term = {c.Wx, 1, c.inputs, c.d_pre, MAPS * N};
                product(c.inputs, 1, &term, nullptr, READS_X ? c.d_x : nullptr, c.d_x, B);
            }
            if (t % net.part_steps == 0) layer_gradient(net, hp, l, t);
        }
        row_sums(STATES * N, 1, net.d_s, 0, B, g + net.h0[l]);
    }
}

// ---- data ------------------------------------------------------------------------------------------------------------------
// What net_train and net_evaluate read. With BITS, inputs are packed samples (ceil(I / 32), count) and targets are labels (count); a batch is
// the next samples of the model's own data set, in a circle. With STATIC, inputs are numbers (K, I, B); with INDEX, symbols
// (K, T, streams, B). Their targets are numbers (K, O, B) with SQUARED, and classes (K, S, heads, B) with SOFTMAX.
struct Data {
    const void *inputs, *targets;
    int64_t count;
};

// The size of a model's own data set, bounded to 1 ... count.
static long samples_of(const Data& data, const double* hp) {
    return hp[SAMPLES] >= 1 ? hp[SAMPLES] <= data.count ? (long)hp[SAMPLES] : (long)data.count : 1;
}

// Unpacks the samples first ... first + B - 1, in a circle of `samples`, into net.x and their labels into y.
static void load_bits(Net& net, const Data& data, long first, long samples, real* y) {  // y: (B)
    const int B = net.B;
    const real* labels = (const real*)data.targets;
    int32_t w[1024];
    const long start = first % samples, before_end = samples - start < B ? samples - start : B;  // samples before the circle begins again
    for (int b = 0; b < before_end; b++) y[b] = labels[start + b];
    for (int b = (int)before_end; b < B; b++) y[b] = labels[(start + b) % samples];
    for (int i0 = 0; i0 < net.I; i0 += 32) {
        const int32_t* row = (const int32_t*)data.inputs + (long)(i0 / 32) * data.count;
        const int32_t* word = row + start;
        if (before_end < B) {
            for (int b = 0; b < B; b++) w[b] = row[(start + b) % samples];
            word = w;
        }
        for (int i = i0; i < net.I && i < i0 + 32; i++) {
            real* x = net.x + (long)i * B;
            for (int b = 0; b < B; b++) x[b] = word[b] & (int32_t)(1u << (i - i0)) ? real(1) : real(0);
        }
    }
}

// Copies batch k into net.x, or points net.symbols at it.
static void load_batch(Net& net, const Data& data, long k) {
    const long B = net.B;
    if (net.input == STATIC) {
        std::memcpy(net.x, (const real*)data.inputs + k * net.I * B, net.I * B * sizeof(real));
        return;
    }
    net.symbols = (const int32_t*)data.inputs + k * net.T * net.streams * B;
}

static const real* numbers(const Net& net, const Data& data, long k) { return (const real*)data.targets + k * net.O * net.B; }
static const int32_t* classes(const Net& net, const Data& data, long k) { return (const int32_t*)data.targets + k * net.S * net.heads * net.B; }

// ---- losses ----------------------------------------------------------------------------------------------------------------
// All are means over the samples of a batch. Squared is also the mean over outputs; softmax sums over heads and is the mean over scored steps.
static void binary_gradient(Net& net, const real* y) {
    for (int b = 0; b < net.B; b += VW) store(net.dz + b, (v_sigmoid(load(net.z + b)) - load(y + b)) * splat(real(1) / net.B));
}

static void squared_gradient(Net& net, const real* y) {
    const long count = (long)net.O * net.B;
    for (long j = 0; j < count; j += VW) store(net.dz + j, (load(net.z + j) - load(y + j)) * splat(real(2) / count));
}

static void softmax_gradient(Net& net, const int32_t* y) {
    const int B = net.B, C = net.O / net.heads;
    const real share = real(1) / (B * net.S);
    for (int h = 0; h < net.S * net.heads; h++) {
        const real* z = net.z + (long)h * C * B;
        real* dz = net.dz + (long)h * C * B;
        for (int b = 0; b < B; b += VW) {
            V most = load(z + b), sum = V{};
            for (int c = 1; c < C; c++) {
                const V x = load(z + c * B + b);
                most = most > x ? most : x;
            }
            for (int c = 0; c < C; c++) {
                const V e = v_exp(load(z + c * B + b) - most);
                sum += e;
                store(dz + c * B + b, e);
            }
            const V scale = splat(share) / sum;
            for (int c = 0; c < C; c++) store(dz + c * B + b, load(dz + c * B + b) * scale);
        }
        for (int b = 0; b < B; b++) dz[y[h * B + b] * B + b] -= share;
    }
}

// The loss of sample b (in nats, or squared error), and whether all its answers are right. An output of exactly 0 is on neither side and so
// never right.
static double binary_loss(const Net& net, const real* y, int b, bool& right) {
    const double zy = y[b] > 0 ? net.z[b] : -net.z[b];
    right = zy > 0;
    return zy > 0 ? std::log1p(std::exp(-zy)) : std::log1p(std::exp(zy)) - zy;
}

static double squared_loss(const Net& net, const real* y, int b, bool& right) {
    double sum = 0;
    for (int o = 0; o < net.O; o++) {
        const double d = (double)net.z[o * net.B + b] - y[o * net.B + b];
        sum += d * d;
    }
    right = false;
    return sum / net.O;
}

// The same for the VW samples from b on. Exponentials are `real` and all sums are double, so that a small loss keeps its digits: the largest
// term is exactly 1. The logarithms of the sums are taken together, as the logarithm of a product of at most 64 sums, which does not overflow.
static void softmax_losses(const Net& net, const int32_t* y, int b, double* loss, double* right) {  // y: (S, heads, B); loss, right: (VW)
    const int B = net.B, C = net.O / net.heads;
    double total[VW] = {0}, product[VW];
    int wrong[VW] = {0};
    for (int i = 0; i < VW; i++) product[i] = 1;
    for (int h = 0; h < net.S * net.heads; h++) {
        const real* z = net.z + (long)h * C * B + b;
        alignas(VECTOR_BYTES) real answer[VW], term[VW], top[VW];
        double sum[VW] = {0};
        int others[VW];
        V most = load(z);
        for (int c = 1; c < C; c++) {
            const V x = load(z + c * B);
            most = most > x ? most : x;
        }
        store(top, most);
        for (int i = 0; i < VW; i++) {
            answer[i] = z[y[h * B + b + i] * B + i];
            others[i] = -1;  // the answer itself is counted too
        }
        for (int c = 0; c < C; c++) {
            store(term, v_exp(load(z + c * B) - most));
            for (int i = 0; i < VW; i++) sum[i] += term[i];
            for (int i = 0; i < VW; i++) others[i] += !(z[c * B + i] < answer[i]);
        }
        for (int i = 0; i < VW; i++) {
            total[i] += (double)top[i] - answer[i];
            product[i] *= sum[i];
            wrong[i] |= others[i];
        }
        if (h % 64 == 63 || h + 1 == net.S * net.heads)
            for (int i = 0; i < VW; i++) {
                total[i] += std::log(product[i]);
                product[i] = 1;
            }
    }
    for (int i = 0; i < VW; i++) {
        loss[i] = total[i] / net.S;
        right[i] = !wrong[i];
    }
}

// ---- training --------------------------------------------------------------------------------------------------------------
// Moves P parameters by the optimiser's equations number `equations`, of which each has a loop of its own. g, theta, m and v: (P)
template <int K>
static void move_by(int equations, long P, const real* g, real scale, const Coefficients& c, real* theta, real* m, real* v) {
    if constexpr (K < OPTIMIZERS) {
        if (equations != K) return move_by<K + 1>(equations, P, g, scale, c, theta, m, v);
        for (long k = 0; k < P; k++) theta[k] -= change(K, g[k] * scale, m[k], v[k], c);
    }
}

// Clips net.grad and updates a model by it, as training.rule.update says; returns false, and changes nothing, where the gradient is not
// finite. theta, m and v: (P).
static bool update(Net& net, real* theta, real* m, real* v, const double* hp, int64_t step) {
    const long P = net.P;
    real* g = net.grad;
    const real l2 = (real)hp[L2];
    double norm = 0;
    real parts[64] = {0};
    for (long j = 0; j < net.matrices; j++) g[j] += l2 * theta[j];
    long j = 0;
    for (; j + 64 <= P; j += 64)
        for (int k = 0; k < 64; k++) parts[k] += g[j + k] * g[j + k];
    for (; j < P; j++) norm += (double)g[j] * g[j];
    for (int k = 0; k < 64; k++) norm += parts[k];
    if (!std::isfinite((real)norm)) return false;  // the sum of squares, in the network's own numbers, as training.rule.update has it
    norm = std::sqrt(norm);
    const double t = (double)step + 1;
    const double lr = hp[LR_INIT] * std::pow(hp[LR_DECAY_RATE], (double)step / hp[TRAIN_STEPS]);
    const real scale = norm > hp[CLIP] ? (real)(hp[CLIP] / norm) : (real)1;
    const real keep = (real)hp[M_KEEP], take = (real)hp[M_TAKE], vkeep = (real)hp[V_KEEP];
    const real mc = hp[CORRECT] ? (real)(1 / (1 - std::pow(hp[M_KEEP], t))) : 1;
    const real vc = hp[CORRECT] ? (real)(1 / (1 - std::pow(hp[V_KEEP], t))) : 1;
    move_by<0>((int)hp[EQUATIONS], P, g, scale, {keep, take, vkeep, 1 - vkeep, (real)lr * mc, vc}, theta, m, v);
    return true;
}

typedef void (*Make)(const void* source, int64_t number, void* inputs, void* targets);

// Trains M models for at most `chunk` steps each, from step[m] on. A model stops at its train_steps, or when its gradient is not finite: then
// dead[m] is set and the step does not count. Step c of model m reads batch m * chunk + c. If `make` is not null, inputs and targets have room
// for one batch, and make (see batches.cpp) writes the batch of each step there from `source`.
// theta, m, v: (M, P); hp: (M, HYPERS); step, dead: (M)
extern "C" void net_train(void* handle, int M, real* theta_MxP, real* m_MxP, real* v_MxP, const double* hp_MxH, int64_t* step, int64_t* dead,
                          int64_t chunk, void* inputs, void* targets, int64_t count, Make make, const void* source) {
    const FlushDenormals flush;
    Net& net = *(Net*)handle;
    const Data data = {inputs, targets, count};
    alignas(64) real y[1024];
    for (int i = 0; i < M; i++) {
        real* theta = theta_MxP + i * net.P;
        const double* hp = hp_MxH + (long)i * HYPERS;
        const long total = (long)hp[TRAIN_STEPS];
        for (int64_t c = 0; c < chunk && step[i] < total && !dead[i]; c++) {
            const long k = make ? 0 : i * chunk + c;
            if (make) make(source, step[i], inputs, targets);
            if (net.input == BITS) load_bits(net, data, step[i] * net.B, samples_of(data, hp), y);
            else load_batch(net, data, k);
            forward(net, theta, hp);
            if (net.loss == SOFTMAX) softmax_gradient(net, classes(net, data, k));
            else if (net.loss == SQUARED) squared_gradient(net, numbers(net, data, k));
            else binary_gradient(net, y);
            backward(net, theta, hp);
            if (update(net, theta, m_MxP + i * net.P, v_MxP + i * net.P, hp, step[i])) step[i]++;
            else dead[i] = 1;
        }
    }
}

// For each of M models, the sums over the samples of K batches of weight times loss and of weight times 1 for a right answer. With BITS, over
// the model's own data set, with weights of 1. loss, correct: (M)
extern "C" void net_evaluate(void* handle, int M, const real* theta_MxP, const double* hp_MxH, const void* inputs, const void* targets,
                             int64_t count, int64_t K, const double* weight_KxB, double* loss, double* correct) {
    const FlushDenormals flush;
    Net& net = *(Net*)handle;
    const Data data = {inputs, targets, count};
    alignas(64) real y[1024];
    double losses[1024], rights[1024];
    for (int i = 0; i < M; i++) {
        const double* hp = hp_MxH + (long)i * HYPERS;
        const long samples = samples_of(data, hp), batches = net.input == BITS ? (samples + net.B - 1) / net.B : K;
        double sum = 0, right = 0;
        for (long k = 0; k < batches; k++) {
            if (net.input == BITS) load_bits(net, data, k * net.B, samples, y);
            else load_batch(net, data, k);
            forward(net, theta_MxP + i * net.P, hp);
            for (int b = 0; net.loss == SOFTMAX && b < net.B; b += VW) softmax_losses(net, classes(net, data, k), b, losses + b, rights + b);
            for (int b = 0; b < net.B; b++) {
                const double weight = net.input == BITS ? k * net.B + b < samples : weight_KxB[k * net.B + b];
                if (weight == 0) continue;
                bool is_correct = net.loss == SOFTMAX && rights[b];
                sum += weight * (net.loss == SOFTMAX ? losses[b] : net.loss == SQUARED ? squared_loss(net, numbers(net, data, k), b, is_correct)
                                                                                      : binary_loss(net, y, b, is_correct));
                right += weight * is_correct;
            }
        }
        loss[i] = sum;
        correct[i] = right;
    }
}

// For the tests: the outputs z for one batch x, and the gradient of sum(dz * z).
// x: (I, B) numbers or (T, streams, B) symbols; dz, z: (S, O, B); grad: (P)
extern "C" void net_gradient(void* handle, const real* theta, const double* hp, const void* x, const real* dz, real* z, real* grad) {
    Net& net = *(Net*)handle;
    const size_t outputs = (size_t)net.S * net.O * net.B * sizeof(real);
    if (net.input == INDEX) net.symbols = (const int32_t*)x;
    else std::memcpy(net.x, x, (size_t)net.I * net.B * sizeof(real));
    std::memcpy(net.dz, dz, outputs);
    forward(net, theta, hp);
    backward(net, theta, hp);
    std::memcpy(z, net.z, outputs);
    std::memcpy(grad, net.grad, (size_t)net.P * sizeof(real));
}
