/* SPDX-License-Identifier: MIT */
/*
 * empty.cpp - the program of bench/empty_programs.h with Boost.Asio.
 */
#include <boost/asio.hpp>
#include <boost/version.hpp>

#include "peers/empty.h"

int main(int argc, char **)
{
    if (argc > 1) {
        char version[32];
        snprintf(version, sizeof version, "%d.%d", BOOST_VERSION / 100000,
                 BOOST_VERSION / 100 % 1000);
        return empty_version("Boost.Asio", version);
    }
    boost::asio::io_context context(1);
    context.run();
    return 0;
}
