(import klorpy [simulate-chor])
(defchor show [A B] (-> A B) [values]
  (loop [rest values]
    (if (A=>B (A (bool rest)))
        (do (A->B (A (get rest 0)))
            (recur (A (cut rest 1 None))))
        (B None))))
(setv shown (simulate-chor show [None "text" b"bytes" 1.5 [1 [2]] #(1 2) {"k" #{1}} :word 'symbol (* "long " 60) "two\nlines"]))
