"""Plots of the built-in stories that happen in the house.

Standard library only; `stories.py` explains the notation.
"""

HOME_PLOTS = {
    "lost": """
        cast: when hero lost
        - {When} {A} could not find {his} {thing}. / {When} {A} lost {his} {thing}.
        - {He} looked for the {thing} behind the door and inside the teapot. / {He} looked for the
          {thing} everywhere, even in the soup pot.
        - "What were you doing when you had it last?" asked {E}. / "Stop and think," said {E}. "What
          were you doing when you had it last?"
        - "I was {doing}," said {A}. / {A} thought hard. "I was {doing}," {he} said.
        - "Then look there," said {E}. / "Then that is the place to look," said {E}.
        - And there was the {thing}, {found}. / {A} ran to look, and there was the {thing}, {found}.
        - "How did you know?" asked {A}. "I lose things too," said {E}. / "You are very clever,"
          said {A}. "No," said {E}. "I have just lost many things." / Now the {thing} has its own
          place by the door.
        """,
    "glasses": """
        cast: when hero
        let paper = newspaper | letter | map
        - {When} {E} wanted to read the {paper} to {A}. / {When} {A} asked {E} to read the {paper}.
        - "I cannot read the {paper}. Where are my glasses?" asked {E}. / "I cannot read the {paper}
          without my glasses," said {E}.
        - {A} looked for the glasses under the chair and even under the cat. / {A} looked for the
          glasses in the sugar bowl, but found only sugar.
        - Then {he} looked at {E} and began to laugh. / Then {he} looked at {E} and smiled.
        - "Your glasses are on your head!" said {A}. / "I see them," said {A}. "They are on your
          head."
        - {E} felt {bhis} head and laughed until the chair shook. / "What a good place for glasses,"
          said {E}. / "So that is why the ceiling looked so clear," said {E}.
        - Then {E} put on the glasses and read the {paper} aloud. / Then {E} read the {paper} from
          the first word to the last.
        """,
    "noise": """
        cast: hero noise
        let night = one night | one dark night | one windy night
        - {Night} {A} lay in bed and could not sleep. / {Night} a strange noise woke {A}.
        - {Noise}! It sounded like {sounded}.
        - {A} pulled the blanket over {his} head. / {A} called for {E}, but not very loudly.
        - {E} came with a lamp. "Let us see what it is," {bhe} said. / "What is that noise?" {he}
          asked when {E} came. "Let us go and see," said {E}.
        - {Noise}! They followed the noise, and it was no giant. {Maker}. / {Noise}! Hand in hand
          they went to look. It was only this: {maker}.
        - {E} {mended}, and the house was quiet again. / {A} {mended}, and the noise was gone.
        - "I was not afraid," said {A}. "I was, a little," said {E}. / "Good night," said {E}, but
          {A} was already asleep. / Soon the only noise was {E}, snoring.
        """,
    "salt": """
        cast: when hero
        let treat = plum cake | apple pie | pear tart
        - {When} {A} made {a_treat} for {E}. / {When} {A} wanted to make {a_treat} all by {himself}.
        - {He} mixed eggs and flour, and then {he} added a big cup of sugar. / {He} mixed eggs and
          flour until {his} nose was white. Last of all {he} added a cup of sugar.
        - The {treat} came out of the oven round and brown. / Soon the whole house smelled of
          {treat}.
        - {E} took a bite of the {treat} and went very quiet. / {E} took one bite of the {treat} and
          drank three cups of water.
        - "Is it good?" asked {A}. "It tastes like the sea," said {E}. / "How is it?" asked {A}. "A
          fish would love it," said {E}.
        - {A} looked at the cup again. It was not sugar. It was salt! / {A} looked at the jar. It
          was not sugar. It was salt!
        - They laughed and made another {treat}, with sugar this time. / So they made another
          {treat}, and this time they tasted the sugar first.
        - Then {A} drew a fish on the salt jar. / The second {treat} was so good that not a crumb
          was left. / The goat got the first {treat}, for goats like salt.
        """,
    "thief": """
        cast: when hero thief
        - {When} {A} and {B} wanted bread and jam, but the jam jar was empty. / {When} {A} opened
          the jam jar, and it was empty.
        - "Who ate the jam?" asked {A}. / "We have a jam thief!" said {A}.
        - "It was not me," said {B}. "I like honey." / "Let us look for the thief," said {B}.
        - They looked everywhere, and soon they found {clue}. / On hands and knees they looked, and
          {A} found {clue}.
        - "Aha!" said {A}. "The thief is {thief}!" / "Now I know," said {B}. "The thief is {thief}!"
        - They were right, for there was {proof}. / And so it was. There was {proof}.
        - {Thief} looked the other way and said nothing. / {Thief} did not look sorry at all.
        - "At least you like my jam," said {A}. / They made new jam and hid it in a box with three
          locks. / After that they kept the jam on the top shelf.
        """,
    "hiccups": """
        cast: when hero
        let trick = stand on your head | drink a glass of water | hold your nose
        let shape = duck | frog | cow
        - {When} {A} had hiccups. / {When} {A} laughed with {his} mouth full and got hiccups.
        - "Hic!" said {A}. "Hic! Hic!" / "Hello, hic!" said {A} to {B}.
        - "You must {trick}," said {B}. / "What can I do? Hic!" asked {A}. "You must {trick}," said
          {B}.
        - {A} tried it, but the hiccups stayed. "Hic!" / {A} did that. "Hic!" It did not help at
          all.
        - Then {B} made a face like {a_shape}. / Then {B} walked about like {a_shape}.
        - {A} laughed and laughed, and the hiccups were gone. / {A} laughed so hard that {he} forgot
          to hiccup.
        - "You are better than a doctor," said {A}. / "No more hiccups!" said {A}.
        - "Hic!" said {B}. / But then {B} said, "Hic!"
        """,
    "tower": """
        cast: when hero
        let thing = tower | castle
        let blocks = blocks | boxes | books
        - {When} {A} built a {thing} of {blocks}. / {When} {A} wanted to build the highest {thing}
          in the world, all of {blocks}.
        - {He} put the small {blocks} at the bottom and the big {blocks} on top. / First came the
          small {blocks}, then the big {blocks}.
        - Then the {thing} fell down with a crash, and the cat ran under the bed. / Crash! Down came
          the {thing}, and all the {blocks} flew across the floor.
        - "Why did my {thing} fall?" asked {A}. "The bottom was too small," said {B}. / "The big
          {blocks} must go at the bottom," said {B}. "Then the {thing} will stand."
        - So they built it again, with the big {blocks} at the bottom. / So they began again, and
          the small {blocks} went on top.
        - This time the {thing} stood as still as a tree. / Now the {thing} stood up straight and
          did not shake at all.
        - {A} put {his} hat on the very top of the {thing}. / Even the cat came out to look at the
          {thing}. / "Now a bigger {thing}!" said {A}.
        """,
    "spider": """
        cast: when hero
        let spot = bath | sink | teapot
        let size = a plum | a coin | a button
        - {When} {A} found a spider in the {spot}. / {When} {A} called {E}, for there was a spider
          in the {spot}.
        - The spider was as big as {size} and had eight long legs. / The spider was black, and as
          big as {size}.
        - "It is looking at me," said {A}. "It is more afraid than you are," said {E}. / "Will it
          eat me?" asked {A}. "It is smaller than your nose," said {E}.
        - {E} put a glass over the spider and slid a card under the glass. / {A} put a glass over
          the spider, and {E} slid a card under the glass.
        - Then they carried the spider out and let it go under a rose bush. / They took the spider
          to the garden and let it go by the wall.
        - The next day the spider had made a web, full of shining drops. / The next day there was a
          web between two flowers.
        - "It can draw better than I can," said {A}. / "Good morning, spider," said {A}, from not
          too near.
        """,
}
