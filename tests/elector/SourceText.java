import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * The text of a Java source file in which methods are found by name. What this class cannot find exactly once is an AssertionError, so
 * that an edit never changes something else than was meant.
 */
final class SourceText {

    /** What Java's grammar does not look into: comments, text blocks, strings, characters. */
    private static final Pattern OPAQUE = Pattern.compile("//[^\n]*|/\\*.*?\\*/|\"\"\".*?(?<!\\\\)\"\"\""
            + "|\"(?:\\\\.|[^\"\\\\\n])*\"|'(?:\\\\.|[^'\\\\\n])+'", Pattern.DOTALL);
    private static final Pattern ORIGINAL_CALL = Pattern.compile("\\boriginal\\(\\s*(\\)?)");

    private final String text;
    /** The text with blanks for everything opaque: of the same length, so that positions agree. */
    private final String grammar;

    SourceText(String text) {
        this.text = text;
        this.grammar = OPAQUE.matcher(text).replaceAll(opaque -> opaque.group().replaceAll("[^\n]", " "));
    }

    /** Where a method is declared: its first word, its name, its parameters in parentheses, its body in braces. */
    private record Declaration(int start, int name, int parameters, int body, int end) {}

    /** Replaces {@code old}, which occurs exactly once, opaque text included. */
    String replace(String old, String replacement) {
        int found = text.indexOf(old);
        if (found < 0 || text.indexOf(old, found + 1) >= 0) {
            throw new AssertionError("the source text must contain this exactly once: " + old);
        }
        return text.replace(old, replacement);
    }

    /** Gives a method, which its type declares exactly once, another body for {@code variant}: see {@link PatchedProgram#method}. */
    String withMethod(int variant, String type, String name, String body) {
        Declaration method = find(type, name);
        String oldName = name + "Before" + variant;
        String modifiers = grammar.substring(method.start, method.name).replaceAll("@\\w+\\s*", "");
        String original = oldName + "(" + parameterNames(method).collect(Collectors.joining(", ")) + ")";
        String newBody = ORIGINAL_CALL.matcher(body).replaceAll(call -> call.group(1).isEmpty() ? oldName + "(" : original);
        String changed = grammar.substring(method.start, method.body) + "{ if (" + PatchedProgram.condition(variant) + ") { " + newBody + " }"
                + (modifiers.contains("void ") ? " else { " + original + "; }" : " return " + original + ";") + " }";
        return text.substring(0, method.start) + changed + "\n\n    " + modifiers + oldName + text.substring(method.parameters);
    }

    private Declaration find(String type, String name) {
        List<Declaration> found = new ArrayList<>();
        Matcher header = Pattern.compile("\\b(?:class|record|enum|interface)\\s+" + type + "\\b[^{;]*\\{").matcher(grammar);
        while (header.find()) {
            int open = header.end() - 1;
            int close = closing(open);
            Matcher candidate = Pattern.compile("(\\w+|[>\\]])\\s+(" + name + ")\\s*\\(").matcher(grammar).region(open, close);
            while (candidate.find()) {
                int parameters = candidate.end() - 1;
                int after = skipThrows(closing(parameters));
                boolean declares = grammar.charAt(after) == '{' && !List.of("new", "record").contains(candidate.group(1));
                if (declares && depth(open, candidate.start()) == 1) {
                    int start = startOfDeclaration(candidate.start());
                    found.add(new Declaration(start, candidate.start(2), parameters, after, closing(after)));
                }
            }
        }
        if (found.size() != 1) {
            throw new AssertionError(type + " must declare exactly one method " + name + ", but declares " + found.size());
        }
        return found.getFirst();
    }

    /** The position after the brace or parenthesis that closes the one at {@code open}. */
    private int closing(int open) {
        char opening = grammar.charAt(open);
        char closing = opening == '{' ? '}' : ')';
        int depth = 0;
        for (int i = open; i < grammar.length(); i++) {
            char c = grammar.charAt(i);
            depth += c == opening ? 1 : c == closing ? -1 : 0;
            if (depth == 0) {
                return i + 1;
            }
        }
        throw new AssertionError("nothing closes the " + opening + " at position " + open);
    }

    private int skipThrows(int from) {
        Matcher rest = Pattern.compile("\\s*(?:throws[^{;]*)?").matcher(grammar).region(from, grammar.length());
        return rest.lookingAt() ? rest.end() : from;
    }

    /** How many braces are open at {@code position} since {@code open}. */
    private int depth(int open, int position) {
        return grammar.substring(open, position).chars().map(c -> c == '{' ? 1 : c == '}' ? -1 : 0).sum();
    }

    private int startOfDeclaration(int position) {
        int start = position;
        while (";{}".indexOf(grammar.charAt(start - 1)) < 0) {
            start--;
        }
        while (Character.isWhitespace(grammar.charAt(start))) {
            start++;
        }
        return start;
    }

    private Stream<String> parameterNames(Declaration method) {
        String list = grammar.substring(method.parameters + 1, closing(method.parameters) - 1).replaceAll("<[^()]*?>(?=\\s)", "");
        return Stream.of(list.split(",")).map(String::strip).filter(parameter -> !parameter.isEmpty())
                .map(parameter -> parameter.substring(parameter.lastIndexOf(' ') + 1));
    }
}
