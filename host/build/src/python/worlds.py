"""Imports a plugin's module as the component will, and tells of what worlds it is: MODULE FOLDER.."""

import sys
import traceback


def main() -> int:
    module, folders = sys.argv[1], sys.argv[2:]
    sys.path[:0] = folders
    # The standard library would import it in place of its own, or not get so far.
    if module in sys.stdlib_module_names:
        print(f"`{module}` is a module of Python's standard library: give the plugin's another name", file=sys.stderr)
        return 1
    # What the plugin prints now is nobody's output.
    output, sys.stdout = sys.stdout, sys.stderr
    try:
        __import__(module)
        from millstream.processor import PLUGIN
    except SyntaxError as error:
        print("".join(traceback.format_exception_only(error)), end="", file=sys.stderr)
        return 1
    except Exception as error:
        # Without the frames of this file and of the import system.
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_filename.startswith("<"):
            trace = trace.tb_next
        print("".join(traceback.format_exception(type(error), error, trace)), end="", file=sys.stderr)
        return 1
    worlds = PLUGIN.worlds()
    if not worlds:
        print(f'{module} names no processor: put `@processor("name")` before its class', file=sys.stderr)
        return 1
    print(" ".join(worlds), file=output)
    return 0


sys.exit(main())
