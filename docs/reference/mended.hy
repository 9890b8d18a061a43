;;; For each kind of error, why it is one, and the program of the catalogue as it should be.

;;; read-error: The text is no Hy yet: a bracket or a quote is missing, or there is one too many.
(defchor greet [A B] (-> A B) [name]
  (A->B (A (+ "Hello " name))))

;;; hy-error: Host code is Hy's affair, and Hy, or Python, refuses this.
(defchor total [A] (-> A A) [prices]
  (A (sum (lfor price prices price))))

;;; macro-error: A macro is a function that runs while a program is compiled. This one raised an exception.
(defmacro twice [form]
  (when (not (isinstance form hy.models.Expression))
    (raise (ValueError f"{form} is not a call")))
  `(do ~form ~form))

(defchor shout [A B] (-> A B) [text]
  (A (twice (print text)))
  (A->B (A (twice (.upper text)))))

;;; too-deep: The compiler goes into forms as deep as Python's stack allows, which is some thousands.
(defchor deep [A B] (-> A B) [x]
  (A->B (A (+ x (sum (* [1] 20000))))))

;;; bad-roles: Roles are symbols. Arrows, dots and slashes would make `A->B` or `A.x` ambiguous.
(defchor greet [A B] (-> A A) [name]
  (A->B name)
  name)

;;; bad-signature: The type of a choreography is an arrow, from the types of its parameters to that of its result.
(defchor greet [A B] (-> A B) [name]
  (A->B name))

;;; bad-param: Parameters are names; a value is given by whoever calls. Constants stand in the body.
(defchor add [A B] (-> A B) [x]
  (A->B (A (+ x 5))))

;;; dup-role: Each role of a choreography has a name of its own.
(defchor greet [Client Server] (-> Client Server) [name]
  (Client->Server name))

;;; dup-name: Names that are bound together differ. `unit-price` and `unit_price` are one name to Python.
(defchor add [A B] (-> A A B) [x y]
  (A->B (A (+ x y))))

;;; unknown-role: Only roles of the role vector take part.
(defchor greet [Client Server] (-> Client Server) [name]
  (Client->Server name))

;;; role-as-value: A role is a place. It stands at the head of a form, in a vector of roles or in a type.
(defchor greet [A B] (-> A B) [name]
  (A->B (A (do (print "A:" name) name))))

;;; arity: Each form takes so many arguments, and a choreography as many as its type says.
(defchor greet [A B] (-> A B) [name]
  (A->B name))

;;; return-type-mismatch: The last type of a signature says where the result is. The body has to put it there.
(defchor greet [A B] (-> A B) [name]
  (A->B (A (+ "Hello " name))))

;;; aux-not-normalised: The roles behind the bar are those that the types do not mention.
(defchor relay [A B C] (-> A C | B) [x]
  (B->C (A->B x)))

;;; aux-missing-role: `| 0` promises that nobody else takes part.
(defchor ask [A B] (-> A A | B) [x]
  (B->A (B (* 2 (A->B x)))))

;;; bad-option: The options are those of [the language reference](../language.md#agreement).
(with-opts {:verify {:agreement True}}
  (defchor greet [A B] (-> A B) [name]
    (A->B name)))

;;; unknown-symbol: What is called with roles is a choreography, and it has to be known by then. Define or declare it.
(defchor ponging [A B] (-> A B) [n]
  (A->B n))
(defchor pinging [A B] (-> A B) [n]
  (ponging [A B] n))

;;; not-a-chor: Only choreographies are given roles. A function runs where it is called.
(defn price-of [title] (len title))
(defchor ask [A B] (-> A B) [title]
  (B (price-of (A->B title))))

;;; chor-not-instantiated: A choreography is defined for any roles, so a call says who plays them.
(defchor tell [A B] (-> A B) [x] (A->B x))
(defchor greet [A B] (-> A B) [name]
  (tell [A B] name))

;;; inst-arity: A call names one role for each role of the choreography that it calls.
(defchor relay [A B C] (-> A C) [x] (B->C (A->B x)))
(defchor greet [Client Proxy Server] (-> Client Server) [name]
  (relay [Client Proxy Server] name))

;;; copy-missing-src: Only a role that has a value can send it.
(defchor greet [A B C] (-> A C) [name]
  (B->C (A->B name)))

;;; copy-dst-present: A message that tells its receiver nothing new is left out. Literals are everywhere already.
(defchor greet [A B] (-> A #{A B}) [name]
  (let [shared (A=>B name)]
    shared))

;;; copy-not-agreement: A message carries one value that the sender has. A tuple has parts at several roles.
(defchor exchange [A B] (-> A A [B B]) [x y]
  (pack (A->B x) (A->B y)))

;;; narrow-missing-role: `narrow` forgets copies; it sends nothing.
(defchor greet [A B C] (-> A C) [name]
  (narrow [C] (B=>C (A->B name))))

;;; narrow-not-agreement: `narrow` keeps some copies of one value. A tuple is unpacked first.
(defchor first [A B] (-> A B A) [x y]
  (unpack [[mine yours] (pack x y)]
    mine))

;;; agree-overlap: `agree!` makes one agreement of values at different roles.
(defchor same [A B C] (-> A B C #{A B C}) [x y z]
  (agree! x y z))

;;; agree-not-agreement: Values agree, not tuples of values.
(defchor same [A B] (-> [A B] #{A B}) [both]
  (unpack [[x y] both]
    (agree! x y)))

;;; agreement-op-arg: An operator runs at the roles of the form around it, and each of them needs every operand.
(defchor sum [A B] (-> A B B) [x y]
  (B (+ (A->B x) y)))

;;; not-invokable: Functions and choreographies can be called; tuples are unpacked.
(defchor both [A B] (-> [A B] A) [pair]
  (unpack [[x _] pair] x))

;;; chor-arg-type: An argument is exactly where the parameter's type says.
(defchor tell [A B] (-> A B) [x] (A->B x))
(defchor greet [A B] (-> B A) [name]
  (tell [B A] name))

;;; collection-element: A list is built at a role, from what that role has. Values of several roles are packed.
(defchor pair [A B] (-> A B B) [x y]
  (B [(A->B x) y]))

;;; if-guard-not-agreement: Roles choose by a value that they have, not by a tuple or a choreography.
(defchor choose [A B] (-> [A B] A) [pair]
  (unpack [[x _] pair]
    (if x (A 1) (A 2))))

;;; if-unknown-choice: Whoever acts in a branch has to know that it is taken. So the guard is shared first.
(defchor buy [Buyer Seller] (-> Buyer Seller Buyer) [budget price]
  (if (Buyer=>Seller (Buyer (>= budget (Seller->Buyer price))))
      (do (Seller (print "sold"))
          (Buyer "bought"))
      (Buyer "too dear")))

;;; case-unknown-choice: Whoever acts in a clause has to know the value that is looked at.
(defchor serve [Client Server] (-> Client Client) [request]
  (case (Client=>Server request)
    "get" (Server->Client (Server "data"))
    "put" (Client "stored")
    (Client "what?")))

;;; branch-type-mismatch: Whichever branch is taken, the result is at the same place.
(defchor choose [A B] (-> A B A) [x y]
  (if (A=>B x)
      (B->A y)
      (A None)))

;;; case-constant-type: Constants are compared where the value is, so the whole form is lifted there.
(defchor serve [Client Server] (-> Client Client) [request]
  (Client->Server (Client "a request"))
  (Client (case request
            "get" "data"
            "what?")))

;;; unpack-shape: A binder has one name for each element.
(defchor first [A B] (-> [A B] A) [pair]
  (unpack [[x y] pair] x))

;;; unpack-not-tuple: `unpack` is for what `pack` made. Lists and tuples of Python belong to one role.
(defchor first [A B] (-> A B) [pair]
  (A->B (A (let [[x y] pair] x))))

;;; unpack-binder: A binder is made of names.
(defchor first [A B] (-> [A B] A) [pair]
  (unpack [[x y] pair] x))

;;; chor-named-needs-aux: The type of a choreography that calls itself is needed before its body is known.
(defchor count [A B] (-> A A) [n]
  (A=>B n)
  (let [down (chor down (-> A A | 0) [i] (if (A (> i 0)) (down (A (- i 1))) i))]
    (down n)))

;;; chor-variadic: Every role has to know how many messages there are, so the number of parameters is fixed.
(defchor total [A B] (-> A B) [prices]
  (A->B (A (sum prices))))

;;; recur-arg-type: Each round starts with values at the same roles as the first.
(defchor count [A B] (-> A A) [n]
  (loop [i n]
    (if (A=>B (A (> i 0)))
        (recur (A (- i 1)))
        (A i))))

;;; recur-arity: `recur` gives a new value to each local of the loop.
(defchor count [A B] (-> A B) [n]
  (A->B (loop [i n sum (A 0)]
          (if (A (> i 0))
              (recur (A (- i 1)) (A (+ sum i)))
              sum))))

;;; recur-not-tail: `recur` starts the next round, so nothing can be left to do in this one.
(defchor factorial [A B] (-> A B) [n]
  (A->B (loop [i n product (A 1)]
          (if (A (> i 1))
              (recur (A (- i 1)) (A (* product i)))
              product))))

;;; bad-scope: What is replaced while a run is under way has a name: that of the choreography that is called, or one that the scope gives its body.
(defchor serve [C S] (-> C S) [x]
  (scope step (C->S x)))

;;; bad-update: An update gives a choreography that is there another body. With other roles or another type it would not fit the scopes that call it.
(defchor step [S C] (-> S C) [x]
  (S->C x))
(update step [S C] (-> S C) [x]
  (S->C (S (+ x 1))))

;;; roles-outside-scope: The roles of a scope agree on a version when they enter it. Whoever takes part has to be one of them.
(defchor serve [C S L] (-> C S | L) [x]
  (scope step [S C L]
    (let [order (C->S x)]
      (S->L order)
      order)))

;;; homogeneous-fn: A function is a value at one role, and may be called anywhere and at any time.
(defchor apply [A B] (-> A B) [x]
  (A->B (A ((fn [y] (* 2 y)) x))))

;;; homogeneous-try: An exception at one role says nothing to the others. Catch it there, and send what came of it.
(defchor parse [A B] (-> A B) [text]
  (A->B (A (try (int text)
             (except [ValueError] 0)))))

;;; homogeneous-form: How often a comprehension runs is known at one role only. Use `loop`, or send the whole list.
(defchor all [A B] (-> A B) [items]
  (A->B (A (lfor item items (* 2 item)))))

;;; unknown-name: A name that nothing binds is a NameError when the form runs. Perhaps it is misspelt.
(import math [sqrt :as root])
(defn helper [y z] [y z])
(defchor report [A B] (-> A B) [x]
  (A (print (root x)))
  (A (lfor y [1 2] (helper y "later")))
  (A->B x))

;;; missing-require: `hy shop.hy` and `import shop` know `defchor` only from a `require`; klorpy's own tools know it anyway.
(require klorpy *)
(defchor greet [A B] (-> A B) [name]
  (A->B name))

;;; unused-role: A role that does nothing and has nothing is probably a mistake.
(defchor greet [A B] (-> A B) [name]
  (A->B name))

;;; signature-changed: Others were compiled against the old signature. Evaluate them again.
(defchor auth [C S A] (-> C #{C S A}) [password]
  (C=>S (C=>A password)))
(defchor get-token [C S A] (-> C #{C S A}) [password]
  (auth [C S A] password))

;;; nondeterministic-agreement: Each role of an agreement evaluates for itself, and here they would differ.
(import random)
(defchor roll [A B] (-> #{A B}) []
  (A=>B (A (random.randint 1 6))))

;;; functions-not-compared: Two functions are equal only if they are one object, so an agreement on them is not verified.
(import klorpy [simulate-chor])
(with-opts {:verify {:agreement True}}
  (defchor apply [A B] (-> A A B) [function x]
    (A->B (A (function x)))))
(simulate-chor apply (fn [x] (* 2 x)) 5)

;;; role-not-part: The role to be played, or met, is not in the role vector.
(import klorpy [run-role])
(defchor greet [Client Server] (-> Client Server) [name]
  (Client->Server name))
(run-role {"role" "Server" "recv" (fn [source] "Ada") "locators" {"Client" 80}} greet)

;;; play-arity: A role is given the arguments of the parameters whose types mention it, and no others.
(import klorpy [run-role])
(defchor buy [Buyer Seller] (-> Buyer Seller Buyer) [budget price]
  (Buyer (>= budget (Seller->Buyer price))))
(run-role {"role" "Buyer" "recv" (fn [source] 20) "locators" {"Seller" 80}} buy 50)

;;; sim-arity: A simulation is given all arguments, and hands them to the roles.
(import klorpy [simulate-chor])
(defchor buy [Buyer Seller] (-> Buyer Seller #{Buyer Seller} Buyer) [budget price currency]
  (Buyer (>= budget (Seller->Buyer price))))
(simulate-chor buy 50 20 "EUR")

;;; not-playable: Arguments from outside are values of one role each; a choreography is not.
(import klorpy [simulate-chor])
(defchor compose [A B C] (-> (-> A B) (-> B C) A C) [f g x]
  (g (f x)))
(defchor relay [A B C] (-> A C) [x]
  (compose [A B C] (chor (-> A B) [y] (A->B y)) (chor (-> B C) [y] (B->C y)) x))
(simulate-chor relay 5)

;;; bad-config: A role is played with a dict of the names that the help lists.
(import klorpy [run-role])
(defchor greet [Client Server] (-> Client Server) [name]
  (Client->Server name))
(run-role {"role" "Client" "send" print "locators" {"Server" 80}} greet "Ada")

;;; no-send: This role sends something, so its configuration says how.
(import klorpy [run-role])
(defchor greet [Client Server] (-> Client Server) [name]
  (Client->Server name))
(run-role {"role" "Client" "send" (fn [to value] None) "locators" {"Server" 80}} greet "Ada")

;;; no-recv: This role receives something, so its configuration says how.
(import klorpy [run-role])
(defchor greet [Client Server] (-> Client Server) [name]
  (Client->Server name))
(run-role {"role" "Server" "recv" (fn [source] "Ada") "locators" {"Client" 80}} greet)

;;; missing-locator: `send` and `recv` are told whom they reach by the locator of that role.
(import klorpy [run-role])
(defchor greet [Client Server Log] (-> Client Server) [name]
  (Client->Log name)
  (Client->Server name))
(run-role {"role" "Client" "send" (fn [to value] None) "locators" {"Server" 80 "Log" 81}} greet "Ada")

;;; not-defined: A declaration promises a definition, and it has to be there when a run gets to it.
(import klorpy [simulate-chor])
(defchor pong [A B] (-> A B))
(defchor ping [A B] (-> A B) [n]
  (pong [A B] n))
(defchor pong [A B] (-> A B) [n]
  (A->B n))
(simulate-chor ping 5)

;;; not-callable: A choreography is run as a whole, or played by a role, or called inside another with its roles.
(import klorpy [simulate-chor])
(defchor greet [Client Server] (-> Client Server) [name]
  (Client->Server name))
(simulate-chor greet "Ada")

;;; stale-dependent: The callee's signature changed after the caller was compiled. Evaluate the caller again.
(import klorpy [simulate-chor])
(defchor auth [C A] (-> C C) [password]
  (A->C (C->A password)))
(with-opts {:verify {:signature True}}
  (defchor get-token [C A] (-> C C) [password]
    (auth [C A] password)))
(simulate-chor get-token "secret")

;;; stale-bytecode: The same, when the caller was compiled in an earlier process. Compile its file again.
(defchor auth [C A] (-> C C) [password]
  (A->C (C->A password)))
(defn make []
  (defchor get-token [C A] (-> C C) [password]
    (auth [C A] password))
  get-token)
(make)

;;; agreement-violated: `agree!` states what has to be true already. To make it true, let one role share its value.
(import klorpy [simulate-chor])
(defchor open-box [Alice Bob] (-> Alice Bob #{Alice Bob}) [mine yours]
  (Alice=>Bob mine))
(simulate-chor open-box 7 8)

;;; no-match: No clause fits the value, and there is no default.
(import klorpy [simulate-chor])
(defchor serve [Client Server] (-> Client Server) [request]
  (let [request (Client=>Server request)]
    (case request
      "get" (Server "data")
      "put" (Server "stored")
      (Server "what?"))))
(simulate-chor serve "delete")

;;; update-missing: Code is never sent. Every process that takes part in a scope has to load an update before the leader has it.
(import klorpy [simulate-chor])
(defchor step [S C] (-> S C) [x]
  (S->C x))
(defchor serve [S C] (-> S C) [x]
  (scope (step [S C] x)))
(simulate-chor serve 1)

;;; scope-order: What a scope runs is known when it is entered. Out of order, that is too late: what follows may have begun.
(import klorpy [simulate-chor])
(defchor serve [C S] (-> C S) [x]
  (scope step (C->S x)))
(simulate-chor serve 5)

;;; not-copyable: What is sent is copied. A lock, a file or a connection belongs to one role.
(import klorpy [simulate-chor])
(import threading)
(defchor share [A B] (-> B) []
  (A->B (A (.locked (threading.Lock)))))
(simulate-chor share)

;;; no-server: Over NATS everything goes through a server, so nothing can begin without one.
(import anyio klorpy)
(defn :async main []
  ; Over TCP processes need no server.
  (with [:async _ (klorpy.host :listen "127.0.0.1:0")]))
(anyio.run main)

;;; not-permitted: The server knows users, and what each may do; the user, the password or the permissions are not right.
(import klorpy.environment.nats-server [permission-lines])
(import klorpy.runtime.transports.nats-names [Names])
(defchor tell [Buyer Seller] (-> Buyer Seller) [x] (Buyer->Seller x))
; What goes into the configuration of the server.
(list (permission-lines tell (Names)))

;;; not-sendable: What goes to another process arrives exactly as it is, or is not sent: a type that the wire does not know would arrive as another.
(import klorpy.runtime.wire [encode])
(import pathlib [PurePosixPath])
(encode {"items" [{"name" "tea" "label" (str (PurePosixPath "tea.svg"))}]})

;;; wire-error: The bytes are damaged, or were written by another version of the program, or by somebody else.
(import klorpy.runtime.wire [decode encode])
(decode (encode {"name" "tea"}))

;;; transport-closed: A transport is for one run. When its role has left, there is nobody to talk to any more.
(import klorpy anyio)
(defchor order [Buyer Shop] (-> Buyer Shop) [price]
  (Buyer->Shop price))
(defn :async main []
  (setv transport (.endpoint (klorpy.MemoryNetwork order.roles) "Buyer"))
  (await (klorpy.play-role {"role" "Buyer"  "transport" transport} order 12))
  (await (.close transport)))
(anyio.run main)

;;; peer-lost: The role that this one needs has left, has crashed, or cannot be reached any more.
(import klorpy)
(import anyio)
(defchor greet [Client Server] (-> Client Server) [name]
  (Client->Server name))
(defn :async serve []
  (setv network (klorpy.MemoryNetwork ["Client" "Server"]))
  (await (klorpy.play-role {"role" "Client" "transport" (.endpoint network "Client")} greet "Ada"))
  (await (klorpy.play-role {"role" "Server" "transport" (.endpoint network "Server")} greet)))
(anyio.run serve)

;;; session-failed: A role has failed, and with it the session, for everybody. The error says which role, where, and why.
(import klorpy anyio)
(defchor order [Buyer Shop Bank] (-> Buyer Bank) [price]
  (Shop->Bank (Buyer->Shop (Buyer (if (> price 0) (/ 100 price) 0)))))
(defn :async main []
  (setv network (klorpy.MemoryNetwork order.roles)
        play (fn [role #* args] (klorpy.play-role {"role" role  "transport" (.endpoint network role)} order #* args)))
  (with [:async tasks (anyio.create-task-group)]
    (.start-soon tasks play "Buyer" 0)
    (.start-soon tasks play "Shop")
    (.start-soon tasks play "Bank")))
(anyio.run main)

;;; roles-missing: A session begins when all its roles have joined. Somebody waited for the others as long as it was told to.
(import klorpy anyio)
(defchor order [Buyer Shop Bank] (-> Buyer Bank) [price]
  (Shop->Bank (Buyer->Shop price)))
(defn :async play [node role #* args]
  (with [:async transport (.join node order role "order 7" :deadline 10)]
    (await (klorpy.play-role {"role" role  "transport" transport} order #* args))))
(defn :async main []
  (with [:async node (klorpy.host)  :async tasks (anyio.create-task-group)]
    (.start-soon tasks play node "Buyer" 12)
    (.start-soon tasks play node "Shop")
    (.start-soon tasks play node "Bank")))
(anyio.run main)

;;; protocol-error: A process speaks another version of klorpy's protocol, or is no klorpy at all. Its sessions end, others do not.
(import klorpy.runtime.sessions.channel [DATA Frame Incoming Window])
(setv frames (Incoming (Window :frames 4)))
(.arrived frames (Frame DATA 0 0 b"" b"a value"))

;;; unknown-session: Roles meet in a session by its name. The process that was asked plays sessions of other names only.
(import klorpy anyio)
(defchor order [Buyer Shop] (-> Buyer Shop) [price]
  (Buyer->Shop price))
(defn :async sell [shop]
  (with [:async transport (.join shop order "Shop" "order 7")]
    (await (klorpy.play-role {"role" "Shop"  "transport" transport} order))))
(defn :async main []
  (with [:async shop (klorpy.host :listen "127.0.0.1:0" :sessions ["order 7"])
         :async tasks (anyio.create-task-group)]
    (.start-soon tasks sell shop)
    (setv address f"127.0.0.1:{(get shop.carrier.ports 0)}")
    (with [:async transport (klorpy.connect order "Buyer" :session "order 7" :peers {"Shop" address})]
      (await (klorpy.play-role {"role" "Buyer"  "transport" transport} order 12)))))
(anyio.run main)

;;; not-certified: With TLS a process plays the roles that its certificate names, and no others.
(import klorpy anyio tempfile)
(import klorpy.environment.certificates [make-certificates])
(defchor order [Buyer Shop] (-> Buyer Shop) [price]
  (Buyer->Shop price))
(defn :async sell [shop]
  (with [:async transport (.join shop order "Shop" "order 7")]
    (await (klorpy.play-role {"role" "Shop"  "transport" transport} order))))
(defn :async main [folder]
  (list (make-certificates folder ["Shop" "Buyer"] 1))
  (with [:async shop (klorpy.host :listen "127.0.0.1:0" :tls (klorpy.Identity.of folder ["Shop"]))
         :async tasks (anyio.create-task-group)]
    (.start-soon tasks sell shop)
    (setv address f"127.0.0.1:{(get shop.carrier.ports 0)}")
    (with [:async transport (klorpy.connect order "Buyer" :session "order 7" :peers {"Shop" address} :tls folder)]
      (await (klorpy.play-role {"role" "Buyer"  "transport" transport} order 12)))))
(with [folder (tempfile.TemporaryDirectory)]
  (anyio.run main folder))

;;; different-choreography: The roles of a session have to play the same text. Comments and layout may differ, and the functions that it calls.
(import klorpy anyio)
(defchor order [Buyer Shop] (-> Buyer Shop) [price]
  (Buyer->Shop (Buyer (* 2 price))))
(defn :async main []
  (with [:async node (klorpy.host)]
    (.seat node order "Shop" "order 7")
    (with [:async transport (.join node order "Buyer" "order 7")]
      (await (klorpy.play-role {"role" "Buyer"  "transport" transport} order 12)))))
(anyio.run main)

;;; role-taken: In a session every role is played once. A further run is a further session.
(import klorpy anyio)
(defchor order [Buyer Shop] (-> Buyer Shop) [price]
  (Buyer->Shop price))
(defn :async main []
  (with [:async node (klorpy.host)]
    (for [price [12 15]]
      (.seat node order "Buyer" f"order at {price}"))))
(anyio.run main)

;;; protocol-mismatch: Two roles are at different places of the choreography. Either they run different versions of it, or an `agree!` did not hold.
(import klorpy [simulate-chor])
(defchor vote [A B] (-> A A) [mine]
  (if (A=>B mine)
      (B->A (B "yes"))
      (B->A (B "no"))))
(simulate-chor vote True)

;;; deadlock: Roles wait for each other. That cannot happen to a choreography whose agreements hold.
(import klorpy [simulate-chor])
(defchor vote [A B] (-> A A) [mine]
  (if (A=>B mine)
      (B->A (B "yes"))
      (B->A (A->B (A "why?")))))
(simulate-chor vote True)

;;; unread-message: A role ended although a message was on its way. Again, some agreement did not hold.
(import klorpy [simulate-chor])
(defchor vote [A B] (-> A A) [mine]
  (if (A=>B mine)
      (do (A->B (A "yes"))
          (A "done"))
      (A "no")))
(simulate-chor vote False)

;;; timeout: The run was given so many seconds, and was not over by then.
(import klorpy [simulate-chor])
(defchor spin [A B] (-> A B) [n]
  (loop [i n]
    (if (A=>B (A (< i 10)))
        (recur (A (+ i 1)))
        (A->B i))))
(simulate-chor spin 0 :timeout 60)

;;; choreography-failed: Host code of a role raised an exception. The error names the role, the form, and who was waiting.
(import klorpy [simulate-chor])
(defn price-of [title]
  (.get {"Dune" 12} title))
(defchor buy [Buyer Seller] (-> Buyer Buyer) [title]
  (let [price (Seller->Buyer (Seller (price-of (Buyer->Seller title))))]
    (Buyer (< price 50))))
(simulate-chor buy "Dune")

;;; cannot-await: `await` is for what a coroutine function returns.
(import klorpy [simulate-chor])
(defn :async fetch [url] url)
(defchor get-page [A B] (-> A B) [url]
  (A->B (A (await (fetch url)))))
(simulate-chor get-page "http://example.org")

;;; no-trace: The run was started without a trace, which is faster, so nobody knows the messages.
(import klorpy [simulate-chor])
(defchor greet [Client Server] (-> Client Server) [name]
  (Client->Server name))
(setv sim (simulate-chor greet "Ada"))
sim.messages

;;; bad-argument: A function of klorpy was given something that it does not take.
(import klorpy [simulate-chor])
(defchor greet [Client Server] (-> Client Server) [name]
  (Client->Server name))
(simulate-chor greet "Ada" :seed 5)

;;; bad-protocol: A protocol consists of messages, branches and recursions; this is none of them.
(defprotocol Login [User Server]
  (-> User Server str))

;;; undefined-protocol: `do` goes on with another protocol, which has to be declared before, or is the protocol itself.
(defprotocol Login [User Server]
  (-> User Server str))
(defprotocol Shop [Buyer Seller]
  (do Login Buyer Seller)
  (-> Buyer Seller (order str)))

;;; unbound-role: The vector of a protocol names all who take part.
(defprotocol Login [User Server]
  (-> User Server str))

;;; self-message: A message goes from one role to another. What a role does by itself is no part of a protocol.
(defprotocol Login [User Server]
  (-> User Server str)
  (-> Server User bool))

;;; unbound-recursion: A word that stands alone is the variable of a `mu` around it: here it starts again.
(defprotocol Feed [Source Sink]
  (mu again (-> Source Sink int) again))

;;; unguarded-recursion: A recursion that comes back without a message would go round for ever, and nobody would notice.
(defprotocol Feed [Source Sink]
  (mu t (-> Source Sink int) t))

;;; non-tail-recursion: What stands behind a recursive call would have to be remembered for each round. Protocols have no such memory.
(defprotocol Nest [A B]
  (mu t (branch A B (open (-> B A (close)) t) (leaf))))

;;; choice-sender-mismatch: Who chooses has to be the one who tells: every branch starts with a message from this role.
(defprotocol Ask [A B]
  (choice A
    [(-> A B (yes))]
    [(-> A B (no)) (-> B A (no))]))

;;; choice-receiver-mismatch: One role is told first, the same in every branch; otherwise nobody could wait for the choice.
(defprotocol Deliver [Seller Post Courier]
  (branch Seller Post
    (mine (-> Seller Courier (none)))
    (theirs (-> Seller Courier (parcel)))))

;;; duplicate-label: The first message tells the branches apart, so no two start with the same label.
(defprotocol Ask [A B]
  (branch A B
    (number (-> B A int))
    (text (-> B A str))))

;;; unmergeable: A role that has to act differently in the branches of a choice has to be told which one was taken.
(import klorpy.behaviour [local-type])
(defprotocol Buy [Buyer Seller Post]
  (branch Buyer Seller
    (yes (-> Seller Post (parcel str)))
    (no (-> Seller Post (nothing)))))
(print (local-type Buy "Post"))

;;; too-large: A choice is written out with all that follows it. Many choices one after the other are too many ways to write out; full merging does not need to.
(import klorpy.behaviour [parse-protocol local-type])
(setv flip "(branch A B (heads) (tails))")
(setv flips (parse-protocol (+ "(defprotocol Flips [A B C] " (* flip 20) ")")))
(print (local-type flips "C"))

;;; bad-calculus: A choreography of the calculus consists of `start`, `com` and `sel`, and ends with `if`, `rec`, `call` or nothing.
(import klorpy.behaviour [parse-gc parse-protocol merge typecheck enact])
(parse-gc "(start a k (u U) (c C)) (sel k (u U) (c C) hello)")

;;; unknown-channel: A session is started on a public channel, whose protocol it follows.
(import klorpy.behaviour [parse-gc parse-protocol merge typecheck enact])
(defprotocol Login [U C] (-> U C str))
(typecheck (parse-gc "(start a k (u U) (c C)) (com k (u U) (password) (c C) x)") {"a" Login})

;;; no-such-session: What happens happens in a session, and a session is started first.
(import klorpy.behaviour [parse-gc parse-protocol merge typecheck enact])
(defprotocol Login [U C] (-> U C str))
(merge (parse-gc "(start a k (u U) (c C)) (com k (u U) (password) (c C) x)") {"a" Login})

;;; session-roles: Each role of a session is played by one thread, the one that started with it.
(import klorpy.behaviour [parse-gc parse-protocol merge typecheck enact])
(defprotocol Login [U C] (-> U C str))
(typecheck (parse-gc "(start a k (u U) (c C)) (com k (u U) (password) (c C) x)") {"a" Login})

;;; session-mismatch: A session does what its protocol says next, and nothing else.
(import klorpy.behaviour [parse-gc parse-protocol merge typecheck enact])
(defprotocol Login [U C] (-> U C str))
(typecheck (parse-gc "(start a k (u U) (c C)) (com k (u U) (password) (c C) x)") {"a" Login})

;;; session-open: When a choreography ends, its sessions have come to the end of their protocols.
(import klorpy.behaviour [parse-gc parse-protocol merge typecheck enact])
(defprotocol Login [U C] (-> U C str))
(typecheck (parse-gc "(start a k (u U) (c C)) (com k (u U) (password) (c C) x)") {"a" Login})

;;; sort-mismatch: The protocol says of which sort a value is.
(import klorpy.behaviour [parse-gc parse-protocol merge typecheck enact])
(defprotocol Login [U C] (-> U C str))
(typecheck (parse-gc "(start a k (u U) (c C)) (com k (u U) \"1234\" (c C) x)") {"a" Login})

;;; unbound-variable: A thread knows what it has received, under the name that it gave it, and nothing else.
(import klorpy.behaviour [parse-gc parse-protocol merge typecheck enact])
(defprotocol Login [U C] (-> U C str))
(typecheck (parse-gc "(start a k (u U) (c C)) (com k (u U) (password) (c C) x)") {"a" Login})

;;; unknown-function: Expressions call functions of the host, which the run is given.
(import klorpy.behaviour [parse-gc parse-protocol merge typecheck enact])
(enact (parse-gc "(start a k (u U) (c C)) (com k (u U) (password) (c C) x)") {"password" (fn [] "secret")})

;;; unannounced-choice: In one session, the branches of a conditional have to begin with a selection that tells them apart.
(import klorpy.behaviour [parse-gc parse-protocol merge typecheck enact])
(defprotocol Login [U C] (-> U C str))
(defprotocol Hello [A B] (branch A B (new) (known)))
(merge
  (parse-gc "(start h i (t A) (c B))
             (if (new-here) t
                 ((sel i (t A) (c B) new) (start a k (t U) (c C)) (com k (t U) (password) (c C) x))
                 (sel i (t A) (c B) known))")
  {"a" Login  "h" Hello})

;;; bad-term: Choreographies, contracts and systems have few forms each; a send, for instance, is a form of contracts.
(import klorpy.behaviour [parse-choreography])
(parse-choreography "(seq (com buyer seller order) (com seller buyer offer))")

;;; self-communication: An interaction has two roles. What a role does by itself is no communication.
(import klorpy.behaviour [parse-choreography])
(parse-choreography "(seq (com buyer seller order) (com seller bank check))")

;;; unknown-scope: Only a region that is marked as a scope can be updated, and it is found by its name.
(import klorpy.behaviour [judge-update parse-choreography])
(setv shop (parse-choreography "(scope pay (roles buyer seller) (com buyer seller card))"))
(judge-update shop "pay" (parse-choreography "(com buyer seller cash)"))

;;; unknown-contract: The registry has no contract of this name.
(import klorpy.behaviour [Registry parse-contract])
(setv registry (Registry {"shop" (parse-contract "(recv order)")}))
(get registry "shop")

;;; state-limit: What is asked needs more states than are allowed, and more memory than you may want to spend.
(import klorpy.behaviour [equivalent parse-choreography])
(equivalent (parse-choreography "(par (com r s a) (com s t b) (com t r c))") "sync" :limit 10)

;;; no-protocol: Roles go different ways, and no message tells which: a protocol shows choices that are made in the protocol.
(import klorpy [protocol-of])
(defchor pay [Buyer Seller] (-> Buyer Seller) [price]
  (if (Buyer=>Seller (Buyer (> price 100)))
    (Buyer->Seller (Buyer "a cheque"))
    (Seller None)))
(protocol-of pay)

;;; protocol-deviation: The option :protocol holds a definition to a protocol; the first message that does not fit is shown in both.
(defprotocol Ask [A B] (-> A B question) (-> B A answer))
(with-opts {:protocol Ask}
  (defchor ask [A B] (-> A A) [x]
    (B->A (B (str (A->B x))))))

;;; topic-too-deep: A topic is compared part by part, so it may nest only so deep. What is deeper belongs into a list, which is an atom, or under a wildcard.
(import klorpy.conversations [ANY role subscriber])
(role "in" (subscriber #("tree" ANY)))

;;; message-not-ground: A message is plain data. A wildcard stands for many messages, so it belongs into a topic.
(import klorpy.conversations [send])
(send #("chat" "hello"))

;;; bad-endpoint: An endpoint has a name, a role (publisher, subscriber or an observer of them), and handlers.
(import klorpy.conversations [role subscriber])
(role "in" (subscriber #("chat" "hello")))

;;; bad-action: A process acts by actions. A message is none; sending it is.
(import klorpy.conversations [Kernel send])
(setv kernel (Kernel))
(.start kernel "ann" [(send #("chat" "hello"))])

;;; message-contract: The messages of this VM have a contract, and a process sent one that breaks it. The process was ended; this is the reason that its peers are told.
(import klorpy.conversations [Kernel one-of send])
(setv kernel (Kernel :logging True :messages (one-of #("price" int))))
(.start kernel "ann" (send #("price" 12)))
(.run kernel)

;;; state-contract: A process has an invariant of its state, and an answer would have broken it. The state was not taken, and the process was ended.
(import klorpy.conversations [Kernel role send spawn subscriber transition])
(defn positive [state] (> state 0))
(setv kernel (Kernel :logging True))
(.start kernel "boot" (spawn (transition 1 (role "in" (subscriber "tick"))) "counter" :invariant positive))
(.run kernel)

;;; unsupported-form: Some forms of Hy have no meaning for several roles, or none yet.
(defchor count [A B] (-> A B) [n]
  (let [m (A (+ n 1))]
    (A->B m)))
