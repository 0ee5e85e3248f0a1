/*
 * embed.c: a program that has Python inside and is not called python. It runs
 * the script that it is given, with built-in modules only where the library
 * is linked statically and its symbols are not exported.
 */
#include <Python.h>

#include <stdio.h>

int main(int argc, char **argv)
{
    FILE *file = argc > 1 ? fopen(argv[1], "r") : NULL;
    int failed = 1;
    if (file == NULL) {
        fprintf(stderr, "embed: a script is needed\n");
        return 2;
    }
    Py_Initialize();
    failed = PyRun_SimpleFile(file, argv[1]);
    fclose(file);
    Py_Finalize();
    return failed != 0;
}
