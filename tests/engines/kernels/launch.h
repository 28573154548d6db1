/* Comes after the kernels: finds them by name and launches them as the driver does. */

template <typename... Arguments, size_t... Index>
static void unpack(void (*kernel)(Arguments...), void **arguments, std::index_sequence<Index...>)
{
    kernel(*(std::tuple_element_t<Index, std::tuple<Arguments...>> *)arguments[Index]...);
}

template <typename... Arguments> static void unpack(void (*kernel)(Arguments...), void **arguments)
{
    unpack(kernel, arguments, std::index_sequence_for<Arguments...>());
}

#define NAMED(kernel) {#kernel, [](void **arguments) { unpack(kernel, arguments); }}

static const std::map<std::string, void (*)(void **)> kernels = {
    NAMED(packed_8), NAMED(packed_16), NAMED(added_8), NAMED(added_16), NAMED(gated_8),
    NAMED(gated_16), NAMED(head_8),    NAMED(head_16), NAMED(begin),    NAMED(attend),
};

/* 0, or 1 if there is no such kernel, 2 if threads wait for each other in vain. `backwards`: the last block first. */
extern "C" int launch(const char *name, unsigned int x, unsigned int y, unsigned int z, unsigned int threads,
                      void **arguments, int backwards)
{
    const auto found = kernels.find(name);
    if (found == kernels.end())
        return 1;
    entry = found->second;
    entry_arguments = arguments;
    gridDim = {x, y, z};
    blockDim = {threads, 1, 1};
    for (unsigned int i = 0; i < x * y * z; i++) {
        const unsigned int at = backwards ? x * y * z - 1 - i : i;
        blockIdx = {at % x, at / x % y, at / x / y};
        if (!run_block(threads))
            return 2;
    }
    return 0;
}
