"""The people, animals and things of the built-in stories, with what belongs to each.

Standard library only. A table's first line names its columns (a line that ends in a bar goes on in
the next one); a row is drawn as a whole, so what is used for a thing, or eaten by an animal, always
fits it. `stories.py` reads the tables.
"""

# Heroes, each with the friend `B` and the elder `E` who are in all the stories about them: who
# knows one name of a story knows the others, so that even a small model keeps people apart.
GIRLS = """
    A | B | E
    Ada | Kofi | Papa
    Ella | Max | Grandpa
    Lily | Noah | Uncle Bill
    Maya | Ravi | Papa
    Zoe | Sam | Grandpa
    """
BOYS = """
    A | B | E
    Ben | Aisha | Grandma
    Hugo | Ivy | Mama
    Leo | Mei | Aunt May
    Omar | Nora | Mama
    Tom | Ruby | Grandma
    """

# Animals that are heroes, with their friends.
SHE_BEASTS = """
    A | kind | B | bkind
    Dot | mouse | Basil | badger
    Fern | rabbit | Moss | frog
    Hazel | squirrel | Tully | otter
    """
HE_BEASTS = """
    A | kind | B | bkind
    Bruno | bear | Clover | deer
    Nib | mole | Poppy | fox
    Pip | hedgehog | Willow | beaver
    """

TABLES = {
    "when": """
        when
        one day
        one morning
        one afternoon
        after breakfast
        after lunch
        on Monday
        on Friday
        on Sunday
        """,
    "lost": """
        thing | doing | found
        boot | jumping in puddles | in the biggest puddle, full of rain
        book | reading in the apple tree | on a branch of the apple tree
        spoon | digging in the garden | at the bottom of a deep hole
        ball | playing with the puppy | in the bed of the puppy
        """,
    "noise": """
        noise | sounded | maker | mended
        tap, tap, tap | a tiny knock | a branch was tapping on the window | tied the branch back
        bang, bang, bang | a drum | the garden gate was swinging in the wind | shut the gate
        crunch, crunch, crunch | teeth | the dog was eating a biscuit | shut the biscuit tin
        scratch, scratch, scratch | claws | the cat wanted to come in | opened the door for the cat
        """,
    "thief": """
        clue | thief | proof
        white feathers on the table | the goose | jam on its beak
        muddy paw marks on the floor | the puppy | jam on its nose
        two long ears behind the curtain | the rabbit | jam on its whiskers
        a tail under the chair | the cat | jam on its paws
        """,
    "blown": """
        thing | found | back
        hat | a duck was sitting in it | they waited until the duck went for a swim
        hat | it was sailing down the river | they fished it out with a long stick
        scarf | a scarecrow was wearing it | they gave the scarecrow an old sack instead
        scarf | a cow was chewing it | they gave the cow a cabbage instead
        """,
    "seed": """
        seed | grew | use
        sunflower | a sunflower taller than the door | the birds ate its seeds all winter
        bean | a bean plant that climbed to the roof | they had beans for supper all week
        pumpkin | a pumpkin as big as a chair | they made soup for the whole street
        """,
    "hungry": """
        animal | food | wrong | cry
        kitten | a little fish | a carrot | meowed
        puppy | a bone | a lemon | barked
        duckling | a bowl of corn | a sausage | peeped
        pony | an apple | a cheese | stamped its foot
        """,
    "pick": """
        items | place | holder
        apples | the orchard | basket
        shells | the beach | bucket
        nuts | the wood | bag
        """,
    "stall": """
        item | seller
        kite | the toy maker
        hat | the hat maker
        fish | the fisherman
        bun | the baker
        """,
    # Few sums, told often, so that they can be learned by heart, as children do.
    "add": """
        x | y | sum
        two | three | five
        three | four | seven
        four | two | six
        five | three | eight
        six | four | ten
        """,
    "subtract": """
        x | y | rest
        five | two | three
        seven | three | four
        six | four | two
        eight | five | three
        ten | four | six
        """,
}
