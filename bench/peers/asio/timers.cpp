/* SPDX-License-Identifier: MIT */
/*
 * timers.cpp - the workload "timers" of bench/sched/timers_second.c with Boost.Asio: callbacks, no
 * tasks.
 */
#include <boost/asio.hpp>
#include <boost/version.hpp>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <deque>

namespace asio = boost::asio;

static double cpu_seconds()
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}

static bool timers(unsigned long count)
{
    double start = cpu_seconds();
    unsigned long fired = 0;
    {
        asio::io_context context(1);
        std::deque<asio::steady_timer> all;
        for (unsigned long i = 0; i < count; i++) {
            /* As workload_nap_ns in bench/peers/workload.h. */
            unsigned long part = i * 611953 % count;
            all.emplace_back(context, std::chrono::nanoseconds(part * 1000000000 / count));
            all.back().async_wait([&fired](const boost::system::error_code &) { fired++; });
        }
        context.run();
    }
    std::printf("%.4f\n", cpu_seconds() - start);
    return fired == count;
}

int main(int argc, char **argv)
{
    unsigned long count = argc == 3 ? std::strtoul(argv[2], nullptr, 10) : 0;

    if (argc == 2 && std::strcmp(argv[1], "version") == 0) {
        std::printf("Boost.Asio %d.%d\n", BOOST_VERSION / 100000, BOOST_VERSION / 100 % 1000);
        return 0;
    }
    if (count == 0) {
        std::fprintf(stderr, "usage: %s version | timers <count>\n", argv[0]);
        return 2;
    }
    if (std::strcmp(argv[1], "timers") != 0)
        return std::printf("-\n") < 0;
    return timers(count) ? 0 : 1;
}
