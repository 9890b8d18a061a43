(with-opts {:verify {:agreement True}}
  (defchor secret [A B C] (-> #{A B} A B C #{A B C}) [shared x y z]
    (agree! (A (+ x shared)) y z)))

(with-opts {:verify {:agreement B}}
  (defchor judged [A B C] (-> #{A B C} A) [x]
    (agree! (narrow [A B] x) (narrow [C] x))
    (narrow [A] x)))

(defchor unchecked [A B] (-> A B #{A B}) [x y]
  (agree! x y))
