import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.StringWriter;
import java.lang.reflect.InvocationTargetException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import javax.tools.FileObject;
import javax.tools.ForwardingJavaFileManager;
import javax.tools.JavaCompiler;
import javax.tools.JavaFileManager;
import javax.tools.JavaFileObject;
import javax.tools.SimpleJavaFileObject;
import javax.tools.ToolProvider;

/**
 * The program with small changes to its source text, compiled in memory. It is loaded together with the tests' own classes in a class
 * loader of its own, so that a simulation that is asked for here plays the changed program.
 *
 * <p>One compiled program holds many variants, each of which has some of the changes: to compile and to warm up one for each would take
 * longer than to play it. Each thread plays a variant of its own; this class, as that loader sees it, knows which.
 */
final class PatchedProgram {

    private static final String FILE = "LeaderLabeler.java";

    /** The variant that the thread plays, and those that it starts, counted from 1: set only in the class loader of the changed program. */
    private static final ThreadLocal<Integer> PLAYED = new InheritableThreadLocal<>();

    private final java.lang.reflect.Method choice;
    private final java.lang.reflect.Method simulation;
    private final java.lang.reflect.Method search;

    private PatchedProgram(Map<String, byte[]> compiled) {
        try {
            Loader loader = new Loader(compiled);
            choice = loader.loadClass("PatchedProgram").getDeclaredMethod("play", int.class);
            simulation = loader.loadClass("Simulation").getDeclaredMethod("violated", long.class, String.class);
            simulation.setAccessible(true);
            search = loader.loadClass("ExhaustiveSearch").getDeclaredMethod("violated", String.class);
            search.setAccessible(true);
            choice.setAccessible(true);
        } catch (ReflectiveOperationException e) {
            throw new AssertionError(e);
        }
    }

    /** One change to the source text; AssertionError if it does not apply exactly once. */
    sealed interface Edit {
        /** The source text in which this holds where {@code variant} is played. */
        String apply(SourceText source, int variant);
    }

    /** An expression of the source text is replaced: a last resort, because every refactoring may change it. */
    private record Snippet(String text, String replacement) implements Edit {
        @Override
        public String apply(SourceText source, int variant) {
            return source.replace(text, "(" + condition(variant) + " ? " + replacement + " : " + text + ")");
        }
    }

    /** A method gets another body. */
    private record Method(String type, String name, String body) implements Edit {
        @Override
        public String apply(SourceText source, int variant) {
            return source.withMethod(variant, type, name, body);
        }
    }

    /** {@code text}, an expression that occurs exactly once, is replaced by another one. */
    static Edit snippet(String text, String replacement) {
        return new Snippet(text, replacement);
    }

    /**
     * The method gets another body.
     *
     * @param name {@code "method"} of class Elector, or {@code "Type.method"}; the type declares exactly one method of that name
     * @param body statements; {@code original()} calls the method as it was, with the same arguments, {@code original(x, y)} with others
     */
    static Edit method(String name, String body) {
        int dot = name.indexOf('.');
        return new Method(dot < 0 ? "Elector" : name.substring(0, dot), name.substring(dot + 1), body);
    }

    /** The condition, as source text, under which the changes of {@code variant} hold. */
    static String condition(int variant) {
        return "PatchedProgram.isPlayed(" + variant + ")";
    }

    /** Whether the thread plays this variant. The changed program asks. */
    static boolean isPlayed(int variant) {
        Integer played = PLAYED.get();
        return played != null && played == variant;
    }

    private static void play(int variant) {
        PLAYED.set(variant);
    }

    /** Applies the changes of each variant and compiles; AssertionError if one does not apply or the outcome does not compile. */
    static PatchedProgram with(List<List<Edit>> variants) {
        String source = source();
        for (int variant = 1; variant <= variants.size(); variant++) {
            for (Edit edit : variants.get(variant - 1)) {
                source = edit.apply(new SourceText(source), variant);
            }
        }
        return new PatchedProgram(compile(source));
    }

    /** {@link Simulation#violated} of the program with the changes of {@code variant}, counted from 1. */
    String violated(int variant, long seed, String faults) {
        return invoke(variant, simulation, seed, faults);
    }

    /** {@link ExhaustiveSearch#violated} of the program with the changes of {@code variant}, counted from 1. */
    String violated(int variant, String script) {
        return invoke(variant, search, script);
    }

    private String invoke(int variant, java.lang.reflect.Method violated, Object... arguments) {
        try {
            choice.invoke(null, variant);
            return (String) violated.invoke(null, arguments);
        } catch (IllegalAccessException e) {
            throw new AssertionError(e);
        } catch (InvocationTargetException e) {
            throw new AssertionError(List.of(arguments) + " of the changed program", e.getCause());
        }
    }

    /** Found from the working directory upwards. */
    private static String source() {
        for (Path folder = Path.of("").toAbsolutePath(); folder != null; folder = folder.getParent()) {
            if (Files.isRegularFile(folder.resolve(FILE))) {
                try {
                    return Files.readString(folder.resolve(FILE));
                } catch (IOException e) {
                    throw new AssertionError(e);
                }
            }
        }
        throw new AssertionError("no " + FILE + " in the working directory or above");
    }

    private static Map<String, byte[]> compile(String source) {
        JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
        StringWriter messages = new StringWriter();
        Map<String, byte[]> compiled = new HashMap<>();
        try (JavaFileManager files = new Collector(compiler.getStandardFileManager(null, null, null), compiled)) {
            List<String> options = List.of("-cp", System.getProperty("java.class.path"), "-proc:none", "-nowarn", "-XDignore.symbol.file");
            boolean done = compiler.getTask(messages, files, null, options, null, List.of(new Source(source))).call();
            if (!done) {
                throw new AssertionError("the changed program does not compile:\n" + messages);
            }
        } catch (IOException e) {
            throw new AssertionError(e);
        }
        return compiled;
    }

    private static final class Source extends SimpleJavaFileObject {
        private final String text;

        Source(String text) {
            super(URI.create("string:///" + FILE), Kind.SOURCE);
            this.text = text;
        }

        @Override
        public CharSequence getCharContent(boolean ignoreEncodingErrors) {
            return text;
        }
    }

    /** Keeps class files in memory. */
    private static final class Collector extends ForwardingJavaFileManager<JavaFileManager> {
        private final Map<String, byte[]> compiled;

        Collector(JavaFileManager files, Map<String, byte[]> compiled) {
            super(files);
            this.compiled = compiled;
        }

        @Override
        public JavaFileObject getJavaFileForOutput(Location location, String name, JavaFileObject.Kind kind, FileObject sibling) {
            return new SimpleJavaFileObject(URI.create("memory:///" + name + kind.extension), kind) {
                @Override
                public OutputStream openOutputStream() {
                    return new ByteArrayOutputStream() {
                        @Override
                        public void close() {
                            compiled.put(name, toByteArray());
                        }
                    };
                }
            };
        }
    }

    /** Takes the changed classes, and defines anew all others of the default package, which may refer to them. */
    private static final class Loader extends ClassLoader {
        private final Map<String, byte[]> compiled;

        Loader(Map<String, byte[]> compiled) {
            super(PatchedProgram.class.getClassLoader());
            this.compiled = compiled;
        }

        @Override
        protected Class<?> loadClass(String name, boolean resolve) throws ClassNotFoundException {
            if (name.contains(".")) {
                return super.loadClass(name, resolve);
            }
            synchronized (getClassLoadingLock(name)) {
                Class<?> loaded = findLoadedClass(name);
                return loaded != null ? loaded : findClass(name);
            }
        }

        @Override
        protected Class<?> findClass(String name) throws ClassNotFoundException {
            byte[] bytes = compiled.containsKey(name) ? compiled.get(name) : read(name);
            return defineClass(name, bytes, 0, bytes.length);
        }

        private byte[] read(String name) throws ClassNotFoundException {
            try (InputStream in = getParent().getResourceAsStream(name + ".class")) {
                if (in == null) {
                    throw new ClassNotFoundException(name);
                }
                return in.readAllBytes();
            } catch (IOException e) {
                throw new ClassNotFoundException(name, e);
            }
        }
    }
}
